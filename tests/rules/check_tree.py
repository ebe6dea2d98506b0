#!/usr/bin/env python3
"""Keeps the rules of the tree that no compiler sees. usage: check_tree.py RULE (run at the top of the tree)

layers       a source includes only what its layer may see (a library can reach more through others' headers)
third-party  a foreign header stands only in its one adapter, and in no public header
purity       domain libraries use no sockets, threads, clocks, files, environment or random numbers
services     no file of one service includes another service
log-events   the name of a log line is words with hyphens
documents    paths and links in documents lead somewhere; every library is in docs/ARCHITECTURE.md
spool-format docs/SPOOL_FORMAT.md has the fields that the codec writes
readmes      every library says in under 40 lines what it is for
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(".")
SOURCE_SUFFIXES = (".cpp", ".hpp")
problems = []


def complain(path, line_number, text):
    problems.append(f"{path}:{line_number}: {text}")


def sources(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SOURCE_SUFFIXES:
                yield path


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if found:
            yield number, found.group(1)


def read_libraries():
    """Every library: name -> (folder, layer, siblings)."""
    libraries = {}
    for listing in sorted(ROOT.glob("**/CMakeLists.txt")):
        if listing.parts[0] == "build":
            continue
        for call in re.findall(r"postfleet_library\(([^)]*)\)", listing.read_text(encoding="utf-8")):
            words = call.split()
            name = words[words.index("NAME") + 1]
            layer = words[words.index("LAYER") + 1]
            siblings = []
            if "SIBLINGS" in words:
                for word in words[words.index("SIBLINGS") + 1:]:
                    if word.isupper():
                        break
                    siblings.append(word)
            libraries[name] = (listing.parent, layer, siblings)
    return libraries


def read_layers():
    text = (ROOT / "cmake/Targets.cmake").read_text(encoding="utf-8")
    return {name: set(filter(None, may.split(";")))
            for name, may in re.findall(r'set\(POSTFLEET_LAYER_(\w+) "([^"]*)"\)', text)}


def check_layers():
    libraries, layers = read_libraries(), read_layers()
    owner = {}
    for name, (folder, _, _) in libraries.items():
        for header in (folder / "include").rglob("*.hpp"):
            owner[str(header.relative_to(folder / "include"))] = name
    for name, (folder, layer, siblings) in libraries.items():
        for path in sources(folder):
            if "include" not in path.parts and "src" not in path.parts:
                continue
            nested = [f for f, _, _ in libraries.values() if f != folder and folder in f.parents and f in path.parents]
            if nested:
                continue
            for number, header in includes(path):
                other = owner.get(header)
                if other is None or other == name or other in siblings:
                    continue
                if libraries[other][1] not in layers[layer]:
                    complain(path, number, f"{name} ({layer}) must not include {header} of {other} ({libraries[other][1]})")


# Who may include what: the start of the header's name -> where it may stand.
THIRD_PARTY = {
    "yaml-cpp/": ["libs/adapters/yaml/src"],
    "rocksdb/": ["libs/adapters/spool/src", "tests/unit/spool"],
    "spdlog/": ["libs/adapters/log/src"],
    "prometheus/": ["libs/adapters/prometheus/src"],
    "librdkafka/": ["libs/adapters/kafka/src", "tests/unit/kafka"],
    "curl/": ["libs/adapters/curl/src"],
    "zlib.h": ["libs/adapters/zlib/src", "tests/unit/zlib"],
    "unbound.h": ["libs/adapters/dns/src"],
    "pcre2.h": ["libs/base/src/pattern.cpp"],
    "idn2.h": ["libs/mail/src/address.cpp"],
    "boost/": ["libs/adapters/http/src", "libs/control/src", "libs/runtime/src", "libs/submission/src", "services",
               "tests"],
    "CLI/": ["services", "libs/cluster_member/src", "tests/bench"],
    "openssl/": ["libs/adapters/crypto/src", "libs/adapters/tls/src", "libs/dkim/src", "tests/unit/tls"],
    "libpq-fe.h": ["libs/adapters/postgres/src", "tests/unit/postgres"],
    "sqlite3.h": ["libs/adapters/sqlite/src", "tests/unit/sqlite"],
    "google/protobuf/": ["libs/wire/src", "libs/adapters/rpc/src"],
    "postfleet/v1/": ["libs/wire/src", "libs/adapters/rpc/src", "services", "tests"],
    "argon2.h": ["libs/adapters/password/src"],
    "benchmark/": ["tests/bench"],
    "catch2/": ["tests"],
}


def check_third_party():
    for path in sources("libs", "services", "tests"):
        for number, header in includes(path):
            for start, places in THIRD_PARTY.items():
                if not header.startswith(start):
                    continue
                if not any(str(path).startswith(place) for place in places):
                    complain(path, number, f"<{header}> belongs to {', '.join(places)} only")
                elif "include" in path.parts and path.parts[0] != "tests":
                    complain(path, number, f"<{header}> is too heavy for a public header")


IMPURE = re.compile(
    r'#\s*include\s*<(sys/|netinet/|arpa/|unistd|fcntl|poll|netdb|thread|mutex|condition_variable|future|fstream|'
    r'filesystem|iostream|random|cstdio|ctime)|\b(getenv|system_clock::now|steady_clock::now|wall_clock_now|'
    r'steady_clock_now|IdGenerator\(\)|random_device|fopen)\b')


def check_purity():
    for name, (folder, layer, _) in read_libraries().items():
        if layer != "domain":
            continue
        for path in sources(folder):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                code = line.split("//")[0]
                found = IMPURE.search(code)
                if found:
                    complain(path, number, f"{name} is domain code and pure; it must not use {found.group(0).strip()}")


SERVICES = ("ingest", "router", "sender", "feedback")


def check_services():
    for service in SERVICES:
        for path in sources(f"services/{service}"):
            for number, header in includes(path):
                for other in SERVICES:
                    if other != service and re.search(rf"(^|/)(services|postfleet)/{other}/", header):
                        complain(path, number, f"{service} must not include {header} of {other}")


LOG_EVENT = re.compile(r'\.line\(\s*[\w:]+,\s*"([^"]*)"')


def check_log_events():
    for folder in ("libs", "services"):
        for path in sources(folder):
            text = path.read_text(encoding="utf-8")
            for found in LOG_EVENT.finditer(text):
                if not re.fullmatch(r"[a-z]+(-[a-z]+)*", found.group(1)):
                    complain(path, text.count("\n", 0, found.start()) + 1,
                             f"a log event is words with hyphens, not \"{found.group(1)}\"")


# What starts like a path of this tree, in backticks or as a link.
TREE_PATH = re.compile(
    r"^(\.ci|cmake|console|deploy|docs|helm|libs|proto|services|tests)/[\w./+-]*$|^(Makefile|CMakePresets\.json)$")


def documents():
    yield from sorted(ROOT.glob("*.md"))
    for folder in ("cmake", "deploy", "docs", "libs", "services", "tests"):
        yield from sorted((ROOT / folder).rglob("*.md"))


def check_that_libraries_are_named():
    page = ROOT / "docs/ARCHITECTURE.md"
    text = page.read_text(encoding="utf-8")
    for folder in sorted({folder for folder, _, _ in read_libraries().values() if folder.parts[0] == "libs"}):
        if f"`{folder}`" not in text:
            complain(page, 1, f"{folder} is not named")


def names_something(named):
    # A decision may be named by its number alone.
    return (ROOT / named).exists() or (re.search(r"/\d{4}$", named) and any(ROOT.glob(named + "-*.md")))


def check_documents():
    check_that_libraries_are_named()
    for path in documents():
        in_block = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.lstrip().startswith("```"):
                in_block = not in_block
                continue
            for named in re.findall(r"`([^`\s]+)`", line):
                if not in_block and TREE_PATH.match(named) and "..." not in named and not names_something(named):
                    complain(path, number, f"there is no {named}")
            for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line):
                if in_block or re.match(r"[a-z]+:", link):
                    continue
                if not (path.parent / link).exists():
                    complain(path, number, f"the link {link} leads nowhere")
            for target in re.findall(r"`make ([a-z]+(?:-[a-z]+)*)\b", line):
                if not re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M):
                    complain(path, number, f"there is no command make {target}")


def check_spool_format():
    """The numbers of fields in docs/SPOOL_FORMAT.md are those that the codec writes."""
    code = (ROOT / "libs/adapters/spool/src/records.cpp").read_text(encoding="utf-8")
    document = ROOT / "docs/SPOOL_FORMAT.md"
    rows = dict(re.findall(r"^\| (\w+) \| (1 .*) \|$", document.read_text(encoding="utf-8"), re.M))
    for function, body in re.findall(r"^void (?:write|encode)_(\w+)\([^)]*std::string& octets\) \{\n(.*?)^\}", code, re.M | re.S):
        written = {int(number) for number in re.findall(
            r"(?:to\.(?:number|number_always|octets|octets_always|nested)\(|optional_time\(to, )(\d+)", body)}
        row = re.sub(r"\([^)]*\)", "", rows.get(function, ""))
        named = {int(number) for part in row.split(" · ") for number in re.findall(r"^[\d, ]+", part)
                 for number in re.findall(r"\d+", number)}
        if written != named:
            complain(document, 1, f"fields of {function}: the codec writes {sorted(written)}, the page has {sorted(named)}")
    if len(rows) < 7:
        complain(document, 1, "the table of fields is gone")


CONFORMANCE_ROWS = ([f"S5321-{n}" for n in range(1, 12)] + [f"M5322-{n}" for n in range(1, 5)] + [f"SEC-{n}" for n in range(1, 12)] +
                    [f"D-{n}" for n in range(1, 8)] + ["RFC8460"] + [f"T-{n}" for n in range(1, 5)] +
                    ["SEC-17", "SEC-24"] + [f"X{rfc}" for rfc in (1870, 2034, 2852, 2920, 3030, 3207, 3461, 4865, 4954, 6152, 6409, 6531,
                                                       6710, 7505, 8314, 8689, 9422)])


CLIENT_ROWS = [f"C5321-{n}" for n in range(1, 11)] + [f"X{rfc}-client" for rfc in (1870, 2852, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 6710, 8314, 8689, 9422)]

# What the other side may do wrong; docs/FAULTS.md.
FAULT_ROWS = [f"F{n:02}" for n in (*range(1, 30), *range(30, 42), 43, 44, 45, 47, *range(48, 58), 59,
                                    *range(60, 65))]


# Who may die in a cluster; docs/CLUSTER.md.
CLUSTER_ROWS = ["ingest", "sender", "sender-machine", "evacuation", "router", "routers", "PostgreSQL", "feedback", "RabbitMQ",
                "RabbitMQ-node", "Kafka", "report-reader", "poison", "configuration", "certificate"]


def check_conformance():
    """Every row of these pages has tests, and each of them exists under the name that the page gives it."""
    check_rows(ROOT / "docs/CONFORMANCE.md", CONFORMANCE_ROWS + CLIENT_ROWS)
    check_rows(ROOT / "docs/FAULTS.md", FAULT_ROWS)
    check_rows(ROOT / "docs/CLUSTER.md", CLUSTER_ROWS)


def check_that_row_is_named(document, row, tests):
    """A reader who searches for the row finds a test that names it: "[SEC-1]", "SEC_1", "# X3030"."""
    number = re.sub(r"-client$", "", row)
    if not re.match(r"([SC]5321|M5322|SEC|X\d)", number) or number == "XMRG":
        return
    named = re.compile(re.escape(number).replace(r"\-", "[-_ ]") + r"(?!\d)", re.I)
    files = [ROOT / path for path in re.findall(r"\]\(\.\./([^)]*)\)", tests)]
    if not any(named.search(file.read_text(encoding="utf-8")) for file in files if file.exists()):
        complain(document, 1, f"{row}: none of its tests names it")


def check_rows(document, rows):
    text = document.read_text(encoding="utf-8")
    heads = re.findall(r"^\| ([\w-]+) \|.*\n\| ---", text, re.M)
    shown = {row: tests for row, tests in re.findall(r"^\| ([\w-]+) \| [^|]* \| (.*) \|$", text, re.M)
             if row not in heads and not row.startswith("---")}
    for row in rows:
        if row not in shown:
            complain(document, 1, f"{row} is missing")
    for row, tests in shown.items():
        check_that_row_is_named(document, row, tests)
        # Names of tests may have brackets in them.
        links = re.findall(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(\.\./([^)]*)\)", tests)
        if not links:
            complain(document, 1, f"{row} has no test")
        for name, path in links:
            file = ROOT / path
            code = file.read_text(encoding="utf-8") if file.exists() else ""
            if path.endswith(".txt") or "." not in path.rsplit("/", 1)[1]:   # a dialogue, or a program
                known = file.exists()
            elif path.endswith(".py"):
                known = f"def test_{name.replace(' ', '_')}(" in code
            else:
                known = f'TEST_CASE("{name}"' in code
            if not known:
                complain(document, 1, f"{row}: {path} has no test «{name}»")


def check_readmes():
    for name, (folder, layer, _) in read_libraries().items():
        # A service's README stands above its core and edge.
        places = [folder / "README.md", folder.parent / "README.md"]
        readme = next((place for place in places if place.exists()), None)
        if readme is None or (layer not in ("core", "app", "support") and readme != places[0]):
            complain(folder, 1, f"{name} has no README.md")
        elif readme.parts[0] == "libs" and len(readme.read_text(encoding="utf-8").splitlines()) >= 40:
            complain(readme, 40, "a library's README has under 40 lines")


RULES = {
    "layers": check_layers,
    "third-party": check_third_party,
    "purity": check_purity,
    "services": check_services,
    "log-events": check_log_events,
    "documents": check_documents,
    "readmes": check_readmes,
    "spool-format": check_spool_format,
    "conformance": check_conformance,
}

if len(sys.argv) != 2 or sys.argv[1] not in RULES:
    sys.exit(__doc__)
RULES[sys.argv[1]]()
for problem in problems:
    print(problem)
print(f"{sys.argv[1]}: {len(problems)} problems")
sys.exit(1 if problems else 0)
