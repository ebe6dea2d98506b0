"""What deploy/ says of the services, asked of the services: configuration, environment variables, metrics of the dashboard."""

import json
import os
import re
import subprocess
import unittest

from cluster import BIN, ROOT, ClusterTest, run

DASHBOARD = os.path.join(ROOT, "deploy/grafana/postfleet.json")
SERVICES = ("router", "ingest", "sender", "feedback")


def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def expressions():
    with open(DASHBOARD) as file:
        return [target["expr"] for panel in json.load(file)["panels"] for target in panel.get("targets", [])]


def own_metrics(expression):
    """{metric: labels that the expression groups or selects by}"""
    labels = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}
    labels |= set(re.findall(r"(\w+)=~?\"", expression))
    return {name: labels - {"instance", "job"} for name in re.findall(r"\bpostfleet_\w+", expression)}


class Deploy(ClusterTest):
    def test_the_configuration_of_the_containers_is_valid(self):
        self.assertIn("is valid", run("config", "check", os.path.join(ROOT, "deploy/compose/config")).stdout)

    def test_every_environment_variable_of_the_containers_is_one_of_a_service(self):
        helps = "".join(subprocess.run([os.path.join(BIN, f"postfleet-{name}"), "--help"], capture_output=True,
                                       text=True, check=True).stdout for name in SERVICES)
        known = set(re.findall(r"Env:(POSTFLEET_\w+)", helps))
        used = set(re.findall(r"\bPOSTFLEET_[A-Z_]+\b(?=[:=])", read("docker-compose.yml") + read("deploy/images/Dockerfile")))
        used -= {"POSTFLEET_TESTS"}  # of CMake
        self.assertIn("POSTFLEET_ROUTER", used)
        self.assertEqual(set(), used - known)

    def test_what_the_dashboard_shows_and_alarms_look_at_is_in_the_metrics_of_the_services(self):
        # Some metrics of a queue come with the first time that they count.
        sink = self.sink(rcpt=lambda recipient, n: "451 4.3.0 later" if n == 1 else "250 2.1.5 ok")
        fleet = self.cluster(sink, "shaping: [{retry_after: [1s]}]\n", senders=1, postgres=False)
        fleet.send("a@dst.test")
        fleet.reports.wait(1, "delivered")
        lines = "\n".join(service.get("/metrics")[1] for service in fleet.services)
        series = [(name, set(re.findall(r'(\w+)="', labels)))
                  for name, labels in re.findall(r"^(postfleet_\w+)(\{[^}]*\})?", lines, re.M)]
        shown = expressions() + re.findall(r"^\| `([^`]*postfleet_[^`]*)`.*$", read("docs/CLUSTER.md"), re.M)
        wanted = {(name, tuple(sorted(labels))) for e in shown for name, labels in own_metrics(e).items()}
        self.assertGreater(len(wanted), 15)
        self.assertEqual([], [(name, labels) for name, labels in sorted(wanted)
                              if not any(name == n and set(labels) <= has for n, has in series)])


if __name__ == "__main__":
    unittest.main()
