# Reads an exposition with Prometheus's own parser and prints its samples, one a line, sorted: NAME{label="value",…} VALUE.
# metrics.py text|openmetrics <exposition; ends with 1 where the format is broken.
import sys

if sys.argv[1] == "openmetrics":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families

seen = set()
lines = []
for family in text_string_to_metric_families(sys.stdin.read()):
    if not family.documentation:
        sys.exit(f"{family.name} has no help")
    if family.type == "unknown":
        sys.exit(f"{family.name} has no type")
    for sample in family.samples:
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
        key = f"{sample.name}{{{labels}}}" if labels else sample.name
        if key in seen:
            sys.exit(f"{key} is there twice")
        seen.add(key)
        lines.append(f"{key} {sample.value:.17g}")
print("\n".join(sorted(lines)))
