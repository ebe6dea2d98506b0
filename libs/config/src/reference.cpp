#include "postfleet/config/reference.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "schema.hpp"

namespace postfleet::config {

namespace {

constexpr std::string_view kIntroduction = R"(# Configuration reference

<!-- Written by `make docs` from libs/config. Change it there. -->

The configuration is a directory of YAML files, `/etc/postfleet` unless `--config` says otherwise; one file works too.
`postfleet config check DIR` prints every problem with file, line and column. `postfleet config show` prints what is in
effect, with the place each value comes from. `postfleet show settings SITE/VMTA` does that for one queue.

The least that works is a listener:

```yaml
listeners:
  relay: {address: "127.0.0.1:2525"}
```

A larger one:

```yaml
hostname: mta1.example.net
data_dir: /var/lib/postfleet

listeners:
  relay: {address: "127.0.0.1:2525", relay_from: ["127.0.0.0/8"], headers: honour}
http: {address: "127.0.0.1:8080"}

virtual_mtas:
  tx-1: {source: 192.0.2.10, ehlo: tx1.example.net}
  promo-1: {source: [192.0.2.20, "2001:db8::20"], ehlo: p1.example.net, max_message_rate: 5000/h}
  promo-2: {source: 192.0.2.21, ehlo: p2.example.net}

pools:
  transactional: {members: [tx-1], priority: high}
  bulk: {members: {promo-1: 3, promo-2: 1}}

bindings:                              # the first match decides
  - {template: receipt, virtual_mta: transactional}
  - {header: {X-Campaign: "^promo"}, virtual_mta: bulk}
  - {mail_from: "@news\\.example\\.com$", virtual_mta: bulk}
  - {client: 10.1.0.0/16, virtual_mta: bulk}
default_virtual_mta: transactional

providers:
  google: {mx: ["*.google.com", "*.googlemail.com"]}

routes:
  "example.test": ["127.0.0.1:2526"]

shaping:
  - {max_connections: 20, max_messages_per_connection: 100, retry_after: [10m, 30m, 1h, 2h, 4h], expire_after: 4d12h}
  - {match: {site: google}, max_connections: 10, max_message_rate: 500/m}
  - match: {site: google, virtual_mta: promo-1}
    max_message_rate: 100/m

reports:
  - {type: file, path: /var/log/postfleet/events.jsonl}
```

## Files

- `*.yaml` and `*.yml` in the directory are put together in the order of their names; hidden files are left out. Names
  under one mapping (`virtual_mtas`, `routes`, `spool` …) are put together, lists (`bindings`, `shaping`, `reports`)
  are joined. The same name or key in two places is an error that names both.
- Unknown keys are errors. YAML anchors, aliases and tags are not taken. A value that begins with `*` needs quotes.
- Relative paths are relative to the directory of the configuration.
- `${NAME}` in a value is replaced by the environment variable, and never shown; `$${` stands for `${`.
- A reload (`postfleet reload`, SIGHUP) takes all of a new configuration or, when anything is wrong with it, nothing.
  Keys marked *restart* take effect at the next start.
- Keys are there since version 0.1 unless they say otherwise.

`postfleet config schema` prints a JSON Schema of these files, and `docs/postfleet.schema.json` is the same. With the
YAML language server, editors check and complete them after a first line that says where it is:

```yaml
# yaml-language-server: $schema=postfleet.schema.json
listeners:
  relay: {address: "127.0.0.1:2525"}
```

## Values

| Kind | Written as |
| --- | --- |
| duration | numbers with `ms`, `s`, `m`, `h` or `d`: `500ms`, `10m`, `4d12h` |
| size | octets, or with `KiB`, `MiB`, `GiB`: `10MiB` |
| rate | per second, minute, hour or day, evenly paced: `20/s`, `500/m`, `5000/h`, `100000/d` |
| network | `10.0.0.0/8`, `2001:db8::/32`, or one address |
| address:port | `127.0.0.1:2525`, `[::1]:2525`, `0.0.0.0:25` for all of IPv4, `[::]:25` for all |
| pattern | a regular expression in Perl's syntax, found anywhere, upper and lower case alike |
| name | up to 64 letters, digits, `-`, `_` and `.` |
| list | `[a, b]`; one element needs no brackets |

## Which shaping rule wins

A rule applies to a queue when everything in its `match` fits. For each key on its own, the most specific rule that
sets it decides; of equally specific rules, the later. More specific means, compared in this order:

1. `domain` over `site` over neither,
2. `virtual_mta` over `pool` over neither (a pool fits when the virtual MTA is one of its members),
3. `tenant` over none.

So a virtual MTA at a site comes before a pool at that site, before the site, before the virtual MTA alone, before the
pool alone, before the general rule. `retry_after` and `expire_after` are asked for each recipient, all other keys
for the queue.

A queue is `site/virtual MTA`. The site of a domain is its provider; else the domain itself when `routes` or a shaping
rule names it; else its first MX host, so that domains with the same MX hosts share a queue.
)";

constexpr std::string_view kFirstVersion = "0.1";

// In a table a pipe would end the cell.
std::string cell(std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
    return text;
}

std::string default_cell(const Key& key) {
    if (key.required) return "*required*";
    if (key.default_text.empty()) return "";
    if (key.default_text.front() == '(') return key.default_text.substr(1, key.default_text.size() - 2);
    return "`" + key.default_text + "`";
}

std::string anchor(const std::string& path) {
    std::string out;
    for (const char c : path) {
        if ((c >= 'a' && c <= 'z') || c == '_' || c == '-') out += c;
    }
    return out;
}

void write_section(const Section& section, std::string& out) {
    out += section.path.empty() ? std::string("\n## Keys\n")
                                : fmt::format("\n### `{}`\n\n{}\n", section.path, section.summary);
    if (!section.keys.empty()) {
        out += "\n| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n";
    }
    for (const auto& key : section.keys) {
        const bool has_page = key.section != nullptr;
        const auto type = has_page ? fmt::format("[{}](#{})", key.type, anchor(key.section->path)) : key.type;
        out += fmt::format("| `{}` | {} | {} | {}{}{} |\n", key.name, cell(type), cell(default_cell(key)),
                           cell(key.summary), key.needs_restart ? " *Restart.*" : "",
                           key.since == kFirstVersion ? "" : fmt::format(" *Since {}.*", key.since));
    }
    for (const auto& key : section.keys) {
        if (key.section != nullptr) write_section(*key.section, out);
    }
}

}  // namespace

std::string reference_page() {
    std::string out(kIntroduction);
    write_section(root_section(), out);
    return out;
}

}  // namespace postfleet::config
