"""A BF16 GGUF from a quantized one: the same dequantized weights, for llama.cpp."""

from __future__ import annotations

from pathlib import Path

from bench.peers.gguf_source import Source
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter, LlamaFileType, quantize

WRITTEN_BY_WRITER = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.architecture"}


def write_bf16_gguf(source: Source, path: Path) -> None:
    """Matrices become BF16; vectors (norms) stay F32, as llama.cpp keeps them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(str(path), source.metadata["general.architecture"])
    _copy_metadata(source, writer)
    for name, array in source.tensors():
        if array.ndim == 1:
            writer.add_tensor(name, array)
        else:
            kind = GGMLQuantizationType.BF16
            writer.add_tensor(name, quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_metadata(source: Source, writer: GGUFWriter) -> None:
    for name, field in source.reader.fields.items():
        if name in WRITTEN_BY_WRITER:
            continue
        value = source.metadata[name]
        if name == "general.file_type":
            value = int(LlamaFileType.MOSTLY_BF16)
        items = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, field.types[0], items)
