import json
import re
from pathlib import Path

from lsp_server.team.metrics import Metrics

DASHBOARD = Path(__file__).parents[3] / "docs" / "grafana-team.json"


def test_the_dashboard_asks_for_metrics_that_there_are():
    counted = {
        f"{family.name}{ending}"
        for family in Metrics.create().registry.collect()
        for ending in ("", "_total", "_bucket")
    }
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = {
        name for panel in panels for target in panel["targets"] for name in re.findall(r"midtoken_\w+", target["expr"])
    }
    assert asked <= counted
    families = {family.name for family in Metrics.create().registry.collect()}
    assert {re.sub("_(total|bucket)$", "", name) for name in asked} == families
