"""What a scrape says."""

from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from engramia.telemetry.metrics import Metrics


def scraped(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return labels and value of every sample, by the sample's name."""
    _, body = metrics.render(None)
    samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            samples[sample.name].append((sample.labels, sample.value))
    return dict(samples)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """Return the value of one sample."""
    (found,) = (number for theirs, number in scraped(metrics).get(name, []) if theirs == labels)
    return found
