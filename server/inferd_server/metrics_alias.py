"""The same series under the names by which vLLM's are known: dashboards, load tools and routers
look for those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

OURS = "inferd_"
ENGINE = {"engine": "0"}  # a label that vLLM's series have
OLD = {  # by the names of its first version, which some routers still read
    "kv_cache_usage_perc": "gpu_cache_usage_perc",
    "prefix_cache_queries": "gpu_prefix_cache_queries",
    "prefix_cache_hits": "gpu_prefix_cache_hits",
}


class Alias(Collector):
    def __init__(self, source: Iterable[Collector], prefix: str) -> None:
        self._source = source
        self._prefix = f"{prefix}:"

    def collect(self) -> Iterator[Metric]:
        for collector in self._source:
            for family in collector.collect():
                name = family.name.removeprefix(OURS)
                yield self._renamed(family, name)
                if name in OLD:
                    yield self._renamed(family, OLD[name])

    def _renamed(self, family: Metric, name: str) -> Metric:
        found = Metric(self._prefix + name, family.documentation, family.type)
        for sample in family.samples:
            rest = sample.name.removeprefix(family.name)
            labels = {**sample.labels, **ENGINE}
            found.samples.append(Sample(self._prefix + name + rest, labels, sample.value))
        return found
