import json
import re
from pathlib import Path

from lsp_server.team.front import Front
from lsp_server.team.metrics import Metrics

DASHBOARD = Path(__file__).parents[3] / "docs" / "grafana-team.json"


def test_the_dashboard_asks_for_the_metrics_that_there_are_and_for_all_of_them():
    registries = (Metrics.create().registry, Front.create().registry)
    families = {family.name for registry in registries for family in registry.collect()}
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = {
        name for panel in panels for target in panel["targets"] for name in re.findall(r"midtoken_\w+", target["expr"])
    }
    assert asked <= {f"{name}{ending}" for name in families for ending in ("", "_total", "_bucket")}
    assert {re.sub("_(total|bucket)$", "", name) for name in asked} == families
