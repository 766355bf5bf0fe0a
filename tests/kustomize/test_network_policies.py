"""The policies of the examples open ports that the selected pods have, and allow the pods to reach each other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kustomize.rendering import EXAMPLES, Manifest, containers_of, pod_of, render, template_of
from tests.kustomize.workloads import KINDS

WITH_A_POLICY = ["network-policy", "redis-tls"]


def policy_of(example: str) -> Manifest:
    (spec,) = (manifest["spec"] for manifest in render(EXAMPLES[example]) if manifest["kind"] == "NetworkPolicy")
    found: Manifest = spec
    return found


def selected(selector: Manifest) -> Manifest:
    """Return the workload of the examples whose pods a selector matches."""
    every = [manifest for example in WITH_A_POLICY for manifest in render(EXAMPLES[example])]
    wanted = selector["matchLabels"].items()
    (found,) = (w for w in every if w["kind"] in KINDS and wanted <= template_of(w)["metadata"]["labels"].items())
    return found


def ports_of(workload: Manifest) -> set[int]:
    containers = containers_of(pod_of(workload))
    return {port["containerPort"] for container in containers for port in container.get("ports", [])}


def ports_in(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


@pytest.mark.parametrize("example", WITH_A_POLICY)
def test_a_policy_opens_only_ports_that_its_pods_have_and_not_to_all(example: str) -> None:
    policy = policy_of(example)
    assert ports_in(policy["ingress"]) == ports_of(selected(policy["podSelector"]))
    assert all(rule["from"] for rule in policy["ingress"])


def test_the_sidecars_reach_the_redis_of_the_example() -> None:
    rules = [rule for rule in policy_of("network-policy")["egress"] if [*rule["to"][0]] == ["podSelector"]]
    (peer,) = rules[0]["to"]
    assert ports_in(rules) == ports_of(selected(peer["podSelector"]))


def test_the_sidecars_reach_the_partner_outside() -> None:
    rules = [rule for rule in policy_of("network-policy")["egress"] if "ipBlock" in rule["to"][0]]
    assert [rule["ports"] for rule in rules] == [[{"protocol": "TCP", "port": 443}]]


def test_only_the_sidecars_may_connect_to_the_redis_of_the_example() -> None:
    (rule,) = policy_of("redis-tls")["ingress"]
    (peer,) = rule["from"]
    assert selected(peer["podSelector"]) == selected(policy_of("network-policy")["podSelector"])
