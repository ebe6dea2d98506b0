// `postfleet dkim key` makes a key; `postfleet dkim check` compares the DNS with what is configured.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "../cli/terminal.hpp"
#include "../process/checks.hpp"
#include "commands.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/crypto/signing_keys.hpp"
#include "postfleet/dkim/key_record.hpp"
#include "postfleet/dkim/rules.hpp"
#include "postfleet/dns/unbound_resolver.hpp"
#include "postfleet/mail/address.hpp"
#include "postfleet/net/loop_group.hpp"

namespace postfleet::standalone {
namespace {

struct KeyOptions {
    std::string domain, selector, type = "rsa", out;
    unsigned bits = 2048;
};

struct CheckOptions {
    std::string domain, selector;
};

dkim::PublicKey public_half(const SigningKey& key) {
    return {key.type() == SigningKey::Type::Rsa ? dkim::Algorithm::RsaSha256 : dkim::Algorithm::Ed25519Sha256,
            key.bits(), key.public_octets()};
}

// Never over a file that is there: it may be a key in use.
Status write_new_file(const std::string& path, std::string_view octets) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0 && errno == EEXIST) {
        return Error{ErrorKind::AlreadyExists, path + " exists already; choose another name with --out"};
    }
    if (fd < 0) return Error{ErrorKind::PermissionDenied, path + ": " + std::strerror(errno)};
    const bool good =
        ::write(fd, octets.data(), octets.size()) == static_cast<ssize_t>(octets.size()) && ::fsync(fd) == 0;
    const int error = errno;
    ::close(fd);
    if (good) return {};
    ::unlink(path.c_str());
    return Error{ErrorKind::Unavailable, path + ": " + std::strerror(error)};
}

void make_key(Context& context, const KeyOptions& options) {
    if (const auto domain = normalize_domain(options.selector + "." + options.domain); !domain) {
        return context.fail({ErrorKind::InvalidArgument, "--selector and --domain make no name for the DNS: " +
                                                             printable(options.selector + "." + options.domain, 255)});
    }
    const auto type = options.type == "rsa" ? SigningKey::Type::Rsa : SigningKey::Type::Ed25519;
    const auto made = crypto::make_signing_key(type, options.bits);
    if (!made) return context.fail(made.error());
    const std::string path = options.out.empty() ? options.domain + "." + options.selector + ".pem" : options.out;
    if (Status written = write_new_file(path, made->pem.view()); !written) return context.fail(written.error());
    const std::string record = dkim::record_text(public_half(*made->key));
    print("The private key is in " + path + ". Publish this record:\n\n  " +
          dkim::zone_line(options.selector, options.domain, record) +
          "\n\nor, where a form asks for name and value:\n\n  name   " +
          dkim::record_name(options.selector, options.domain) + "\n  value  " + record +
          "\n\nThen add to the configuration:\n\n  dkim:\n    - {domain: " + options.domain +
          ", selector: " + options.selector + ", key_file: " + path +
          "}\n\nand see that it has arrived:\n\n  postfleet dkim check " + options.domain + "\n");
}

// One answer, on this thread.
class Lookup {
public:
    static Result<std::unique_ptr<Lookup>> open(const config::Dns& settings) {
        auto lookup = std::make_unique<Lookup>();
        auto loops = net::LoopGroup::create(1);
        if (!loops) return loops.error();
        lookup->loops_ = std::move(*loops);
        auto resolver = dns::UnboundResolver::create({.servers = settings.servers,
                                                      .timeout = settings.timeout,
                                                      .max_outstanding = settings.max_outstanding,
                                                      .trust_anchor_file = settings.trust_anchor_file},
                                                     lookup->metrics_);
        if (!resolver) return resolver.error();
        lookup->resolver_ = std::move(*resolver);
        lookup->loops_->start();
        return lookup;
    }
    ~Lookup() {
        if (!loops_) return;
        loops_->stop();
        loops_->join();
        resolver_.reset();
    }
    TxtAnswer txt(const std::string& name) {
        std::promise<TxtAnswer> answer;
        resolver_->resolve_txt(name, {&(*loops_)[0], [&](TxtAnswer got) { answer.set_value(std::move(got)); }});
        return answer.get_future().get();
    }

private:
    Metrics metrics_;
    std::unique_ptr<net::LoopGroup> loops_;
    std::unique_ptr<dns::UnboundResolver> resolver_;
};

struct Checked {
    std::string label, name, record;
    dkim::KeyVerdict verdict;
};

Checked check_rule(const config::DkimRule& rule, const std::string& domain, Lookup& lookup) {
    Checked checked{domain + "/" + rule.selector, dkim::record_name(rule.selector, domain), {}, {}};
    const auto key = crypto::load_signing_key(rule.key_file);
    if (!key) {
        checked.verdict = {dkim::KeyVerdict::Kind::Bad, {"the private key cannot be used: " + key.error().text}};
        return checked;
    }
    const dkim::PublicKey half = public_half(**key);
    checked.record = dkim::record_text(half);
    const TxtAnswer answer = lookup.txt(checked.name);
    if (answer.kind == TxtAnswer::Kind::Temporary) {
        checked.verdict = {dkim::KeyVerdict::Kind::Bad, {"the DNS gave no answer: " + answer.text}};
        return checked;
    }
    checked.verdict = dkim::compare_key(half, answer.records);
    return checked;
}

const char* word(dkim::KeyVerdict::Kind kind) {
    switch (kind) {
        case dkim::KeyVerdict::Kind::Good: return "good";
        case dkim::KeyVerdict::Kind::Warning: return "warning";
        case dkim::KeyVerdict::Kind::Bad: return "bad";
    }
    return "bad";
}

void print_checked(const std::vector<Checked>& all, bool json) {
    if (json) {
        std::string out;
        JsonWriter writer(out);
        writer.begin_array();
        for (const Checked& one : all) {
            writer.begin_object()
                .member("key", one.label)
                .member("name", one.name)
                .member("result", word(one.verdict.kind));
            writer.member("record", one.record);
            writer.key("problems").begin_array();
            for (const std::string& problem : one.verdict.problems) writer.value(problem);
            writer.end_array().end_object();
        }
        writer.end_array();
        return print(out + "\n");
    }
    for (const Checked& one : all) {
        std::string text = one.label + ": " + word(one.verdict.kind) + "\n";
        for (const std::string& problem : one.verdict.problems) text += "  " + problem + "\n";
        if (one.verdict.kind == dkim::KeyVerdict::Kind::Bad && !one.record.empty()) {
            text += "  expected at " + one.name + ":\n  " + one.record + "\n";
        }
        print(text);
    }
}

void check(Context& context, const CheckOptions& options) {
    const std::string directory = context.config.empty() ? kDefaultConfig : context.config;
    const config::LoadResult loaded = config_files::load_path(directory);
    if (!loaded.config) return context.fail(describe_problems(directory, loaded.problems));
    auto lookup = Lookup::open(loaded.config->dns);
    if (!lookup) return context.fail(lookup.error());
    std::vector<Checked> all;
    for (const config::DkimRule& rule : loaded.config->dkim) {
        if (!options.selector.empty() && rule.selector != options.selector) continue;
        if (rule.domain != "*" && rule.domain != options.domain && !dkim::is_within(options.domain, rule.domain))
            continue;
        all.push_back(check_rule(rule, rule.domain == "*" ? options.domain : rule.domain, **lookup));
    }
    if (all.empty()) {
        return context.fail(
            {ErrorKind::NotFound, "no DKIM key is configured for " + options.domain +
                                      (options.selector.empty() ? "" : " with selector " + options.selector) +
                                      "; make one with: postfleet dkim key --domain " + options.domain});
    }
    print_checked(all, context.json);
    for (const Checked& one : all) {
        if (one.verdict.kind == dkim::KeyVerdict::Kind::Bad) context.exit_code = 1;
    }
}

}  // namespace

void register_dkim_commands(CLI::App& app, Context& context) {
    CLI::App* dkim = app.add_subcommand("dkim", "Make DKIM keys, and compare what the DNS has; no server is needed");
    dkim->group("Configuration")->require_subcommand(1);

    auto key = std::make_shared<KeyOptions>();
    CLI::App* make =
        dkim->add_subcommand("key", "Make a key: writes the private half to a file, prints the DNS record");
    make->add_option("--domain", key->domain, "The domain that signs: example.com")->required();
    make->add_option("--selector", key->selector, "Names the key: s1, or the month")->required();
    make->add_option("--type", key->type, "rsa (understood everywhere) or ed25519 (small, as a second signature)")
        ->check(CLI::IsMember({"rsa", "ed25519"}))
        ->capture_default_str();
    make->add_option("--bits", key->bits, "Of RSA")->check(CLI::Range(1024, 8192))->capture_default_str();
    make->add_option("--out", key->out, "The file; it must not exist  [DOMAIN.SELECTOR.pem]");
    make->callback([&context, key] { make_key(context, *key); });

    auto wanted = std::make_shared<CheckOptions>();
    CLI::App* compare = dkim->add_subcommand("check", "Does the published key belong to the configured one?");
    compare->add_option("domain", wanted->domain, "The domain that signs")->required();
    compare->add_option("--selector", wanted->selector, "Only this one");
    compare->add_option("--config", context.config, "The configuration")
        ->envname("POSTFLEET_CONFIG")
        ->default_str(kDefaultConfig);
    compare->add_flag("--json", context.json, "As JSON");
    compare->footer("Exit code 0: verifiers accept the signatures; 1: they do not, or the key is for testing only.");
    compare->callback([&context, wanted] { check(context, *wanted); });
}

}  // namespace postfleet::standalone
