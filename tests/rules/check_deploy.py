#!/usr/bin/env python3
"""Checks what `make up` runs, as far as that goes without docker (run at the top of the tree).

docker-compose.yml, deploy/images/Dockerfile and the files that containers mount have to agree with each other and with the
configuration: a name in one of them that is none in the other is found here, not by whoever starts the cluster. What can be
asked of the executables themselves is in tests/cluster/deploy_test.py.
"""
import pathlib
import re
import sys

try:
    import yaml
except ModuleNotFoundError:
    sys.path.append("/usr/lib/python3/dist-packages")  # Debian's package, where python3 is another one
    import yaml

COMPOSE = "docker-compose.yml"
DOCKERFILE = "deploy/images/Dockerfile"
CONFIG = "deploy/compose/config/postfleet.yaml"
SERVICES = {"ingest", "router", "sender", "feedback"}
problems = []


def complain(path, text):
    problems.append(f"{path}: {text}")


def load(path):
    try:
        return yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError) as error:
        sys.exit(f"{path}: {error}")


compose = load(COMPOSE)
containers = compose["services"]
ours = {name: one for name, one in containers.items() if "build" in one}
fleet = {name: one for name, one in ours.items() if one["build"]["target"] in SERVICES}
dockerfile = pathlib.Path(DOCKERFILE).read_text(encoding="utf-8")
stages = {name: base for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.M)}


def stage_text(name):
    return re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", dockerfile, re.M | re.S).group(1)


def check_images():
    for name, one in ours.items():
        target = one["build"]["target"]
        if stages.get(target) != "runtime":
            complain(COMPOSE, f"{name}: {DOCKERFILE} has no target {target}")
        if one["image"] != f"postfleet/{target}":
            complain(COMPOSE, f"{name}: the image of the target {target} is postfleet/{target}, not {one['image']}")
    if {one["build"]["target"] for one in fleet.values()} != SERVICES:
        complain(COMPOSE, "not all four services are there")
    if not re.search(r"^USER [1-9]", stage_text("runtime"), re.M):
        complain(DOCKERFILE, "the images run as root")
    if [name for name in stages if "install-dependencies" in stage_text(name)] != ["build"]:
        complain(DOCKERFILE, "there is to be one build stage")
    for name, one in containers.items():
        default = re.fullmatch(r"\$\{(\w+):-[\w./-]+:[\w.-]+\}", one["image"])
        if name not in ours and (not default or default.group(0).endswith(":latest}")):
            complain(COMPOSE, f"{name}: the image is to be replaceable, and of a version: ${{NAME:-image:version}}")


def check_health():
    inherited = "HEALTHCHECK" in stage_text("runtime")
    for name, one in containers.items():
        if one.get("restart") != "unless-stopped":
            complain(COMPOSE, f"{name}: restart: unless-stopped, or it stays away when it dies")
        if "healthcheck" not in one and not (inherited and name in ours):
            complain(COMPOSE, f"{name} has no health check")
        wanted = one.get("depends_on", {})
        for other in wanted:
            if other not in containers:
                complain(COMPOSE, f"{name} depends on {other}, which is not there")
            elif isinstance(wanted, dict) and wanted[other] != {"condition": "service_healthy"}:
                complain(COMPOSE, f"{name} is to wait until {other} is healthy")


def check_confinement():
    for name, one in ours.items():
        if not one.get("read_only") or one.get("cap_drop") != ["ALL"] or \
                one.get("security_opt") != ["no-new-privileges:true"]:
            complain(COMPOSE, f"{name}: read_only, cap_drop: [ALL], no-new-privileges")
    for name, one in containers.items():
        for port in one.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                complain(COMPOSE, f"{name}: port {port} is open to other machines")


def check_mounts():
    made = pathlib.Path("deploy/compose/prepare").read_text(encoding="utf-8")
    used = set()
    for name, one in containers.items():
        for mount in one.get("volumes", []):
            source = mount.split(":")[0]
            if not source.startswith("."):
                used.add(source)
            elif source == "./deploy/compose/tls":
                for variable, path in one.get("environment", {}).items():
                    if variable.startswith("POSTFLEET_TLS_") and f"tls/{pathlib.Path(path).name}" not in made:
                        complain(COMPOSE, f"{name}: deploy/compose/prepare makes no {path}")
            elif not pathlib.Path(source).exists():
                complain(COMPOSE, f"{name} mounts {source}, which is not there")
    if used != set(compose["volumes"]):
        complain(COMPOSE, f"volumes declared and used differ: {sorted(used ^ set(compose['volumes']))}")


def address(name):
    networks = containers[name]["networks"]
    return networks["fleet"]["ipv4_address"] if isinstance(networks, dict) else None


def check_configuration():
    """Each virtual MTA is that of a sender whose container has its address; all mail goes to the sink."""
    config = load(CONFIG)
    senders = {one["environment"]["POSTFLEET_NAME"]: name for name, one in fleet.items()
               if one["build"]["target"] == "sender"}
    for name, identity in config["virtual_mtas"].items():
        container = senders.get(identity["sender"])
        if container is None:
            complain(CONFIG, f"{name}: no container is {identity['sender']}")
        elif address(container) != identity["source"]:
            complain(CONFIG, f"{name}: {container} has the address {address(container)}, not {identity['source']}")
    for name, container in senders.items():
        if containers[container].get("hostname") != name:
            complain(COMPOSE, f"{container}: a sender without a name of its machine is refused when it is made anew")
    if list(config["routes"].values()) != [[f"{address('sink')}:2526"]]:
        complain(CONFIG, "mail goes elsewhere than to the sink")
    addresses = [one["address"] for kind in ("listeners", "grpc_listeners") for one in config[kind].values()]
    for listener in addresses:
        port = listener.rsplit(":", 1)[1]
        if f"127.0.0.1:{port}:{port}" not in containers["ingest"]["ports"]:
            complain(COMPOSE, f"ingest: nothing leads to the listener {listener}")


def check_prometheus():
    scraped = {target for job in load("deploy/compose/prometheus.yml")["scrape_configs"]
               for group in job["static_configs"] for target in group["targets"]}
    wanted = {f"{name}:8080" for name in fleet} | {"rabbitmq:15692"}
    if "POSTFLEET_HTTP=0.0.0.0:8080" not in dockerfile:
        complain(DOCKERFILE, "the services' HTTP port is not 8080")
    if scraped != wanted:
        complain("deploy/compose/prometheus.yml", f"scraped and running differ: {sorted(scraped ^ wanted)}")


def check_stand_ins():
    """What deploy/compose/debian.env names can be made, and is what docker-compose.yml asks for."""
    text = pathlib.Path(COMPOSE).read_text(encoding="utf-8")
    for line in pathlib.Path("deploy/compose/debian.env").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        variable, _, image = line.partition("=")
        name = image.removeprefix("postfleet/stand-in-")
        if f"${{{variable}:-" not in text:
            complain("deploy/compose/debian.env", f"{COMPOSE} does not use {variable}")
        if name != "debian" and not pathlib.Path(f"deploy/images/stand-ins/{name}/Dockerfile").exists():
            complain("deploy/compose/debian.env", f"deploy/images/from-debian makes no {image}")


for path in sorted(pathlib.Path("deploy").rglob("*.y*ml")):
    load(path)
check_images()
check_health()
check_confinement()
check_mounts()
check_configuration()
check_prometheus()
check_stand_ins()
for problem in problems:
    print(problem)
print(f"deploy: {len(problems)} problems")
sys.exit(1 if problems else 0)
