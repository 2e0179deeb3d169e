"""Tokenizer: text and token ids, from a directory or a GGUF file. Imports neither torch nor
transformers, so that front ends start at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from inferd.contracts.output_parser import ChatFormat
from inferd.errors import RequestError, UnsupportedModel
from inferd.loading import chat_template as templates
from inferd.loading.segments import Segments
from inferd.loading.stream_decoder import StreamDecoder
from inferd.loading.token_texts import TokenTexts
from inferd.loading.tokenizer_files import TokenizerFiles, read_directory, read_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator

Message = dict[str, Any]


class Tokenizer:
    """Made by `load`. Thread-safe for encoding and decoding."""

    def __init__(self, files: TokenizerFiles) -> None:
        self._backend = files.backend
        self.chat_template = files.chat_template
        self.response_template = files.response_template
        self.special_tokens = files.special_tokens  # bos_token, eos_token, ... as text
        self._texts = TokenTexts(files.backend)
        self._segments = Segments(files.backend, self._ends_of_segments())
        self.bos_id = self._id_of("bos_token")
        self.eos_ids = files.eos_ids or [i for i in [self._id_of("eos_token")] if i is not None]
        self.vocab_size: int = self._backend.get_vocab_size(with_added_tokens=True)

    def _ends_of_segments(self) -> Iterator[str]:
        """Special tokens that the chat template writes."""
        template = self.chat_template or ""
        names = self.special_tokens.items()
        yield from (text for name, text in names if name in template)
        added = self._backend.get_added_tokens_decoder().values()
        yield from (token.content for token in added if token.content in template)

    @classmethod
    def load(cls, source: Path) -> Self:
        """Raises UnsupportedModel when there is no tokenizer that is understood."""
        if source.suffix == ".gguf":
            return cls(read_gguf(source))
        return cls(read_directory(source))

    def to_json(self) -> str:
        """As the tokenizers library writes it."""
        return str(self._backend.to_str())

    def _id_of(self, name: str) -> int | None:
        text = self.special_tokens.get(name)
        found: int | None = self._backend.token_to_id(text) if text else None
        return found

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Raises RequestError for text that is not valid Unicode (lone surrogates)."""
        try:
            encoding = self._backend.encode(text, add_special_tokens=add_special_tokens)
        except (UnicodeEncodeError, TypeError) as error:
            raise RequestError(f"the text is not valid Unicode: {error}", "prompt") from None
        ids: list[int] = encoding.ids
        return ids

    def encode_batch(self, texts: list[str], add_special_tokens: bool = True) -> list[list[int]]:
        """As `encode`, for several texts or a long one: without the GIL and on all cores."""
        try:
            found = self._backend.encode_batch_fast(texts, add_special_tokens=add_special_tokens)
        except (UnicodeEncodeError, TypeError) as error:
            raise RequestError(f"a text is not valid Unicode: {error}", "prompt") from None
        return [encoding.ids for encoding in found]

    def encode_conversation(self, text: str) -> list[int]:
        """As `encode` without special tokens, for what a chat template made: of a conversation that
        goes on it costs what is new.
        """
        try:
            return self._segments.encode(text)
        except (UnicodeEncodeError, TypeError) as error:
            raise RequestError(f"the text is not valid Unicode: {error}", "prompt") from None

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        return str(self._backend.decode(ids, skip_special_tokens=skip_special_tokens))

    def token_text(self, token_id: int) -> str:
        """A token within a text; incomplete characters appear as U+FFFD."""
        return self._texts.text(token_id)

    def token_bytes(self, token_id: int) -> bytes | None:
        """Of one whose text has incomplete characters; None of others."""
        return self._texts.raw(token_id)

    def stream(self, prompt_ids: list[int], skip_special_tokens: bool = True) -> StreamDecoder:
        """A decoder for what follows the prompt."""
        return StreamDecoder(self._backend, prompt_ids, skip_special_tokens)

    @property
    def has_chat_template(self) -> bool:
        return self.chat_template is not None

    @property
    def takes_tools(self) -> bool:
        """Whether the chat template shows the model what it may call."""
        return "tools" in (self.chat_template or "")

    @property
    def chat_format(self) -> ChatFormat:
        """What the checkpoint says about how its model speaks."""
        return ChatFormat(self.chat_template or "", self.response_template)

    def apply_chat_template(
        self,
        messages: list[Message],
        *,
        tools: list[dict[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        chat_template: str | None = None,
        **context: Any,
    ) -> str:
        """The conversation as the text the model was trained on.

        Raises UnsupportedModel without a template, RequestError when the template refuses.
        """
        template = chat_template or self.chat_template
        if template is None:
            raise UnsupportedModel(
                "this model has no chat template; use /v1/completions or LLM.generate"
            )
        if not messages:
            raise RequestError("messages is empty; give at least one message", "messages")
        render = templates.render_open if continue_final_message else templates.render
        known = {"documents": None, **self.special_tokens, **context}
        generate = add_generation_prompt and not continue_final_message
        return render(template, messages, tools=tools, add_generation_prompt=generate, **known)
