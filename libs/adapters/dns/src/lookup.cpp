#include "lookup.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "postfleet/base/text.hpp"
#include "postfleet/dns/unbound_resolver.hpp"

namespace postfleet::dns {

namespace {

bool is_host_octet(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

struct MxRecord {
    std::uint16_t preference = 0;
    std::string name;  // empty: the root
};

bool parse_mx(std::string_view rdata, MxRecord& out) {
    if (rdata.size() < 3) return false;
    out.preference =
        static_cast<std::uint16_t>(static_cast<std::uint8_t>(rdata[0]) << 8 | static_cast<std::uint8_t>(rdata[1]));
    return parse_wire_name(rdata.substr(2), out.name);
}

bool parse_address(std::string_view rdata, IpAddress& out) {
    if (rdata.size() != 4 && rdata.size() != 16) return false;
    out = IpAddress{};
    out.v6 = rdata.size() == 16;
    std::transform(rdata.begin(), rdata.end(), out.octets.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
    return true;
}

}  // namespace

bool parse_wire_name(std::string_view wire, std::string& name) {
    name.clear();
    while (!wire.empty() && wire[0] != 0) {
        const auto length = static_cast<std::uint8_t>(wire[0]);
        if (length > 63 || wire.size() <= length) return false;
        const auto label = to_ascii_lower(wire.substr(1, length));
        if (!std::all_of(label.begin(), label.end(), is_host_octet)) return false;
        if (!name.empty()) name += '.';
        name += label;
        wire.remove_prefix(length + 1u);
    }
    return !wire.empty() && name.size() <= 253;
}

Lookup::Lookup(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {
    if (kind == Kind::Mx) {
        ask({name_, RecordType::Mx, 0});
    } else {
        hosts_.push_back({0, name_, {}});
        ask_addresses();
    }
}

void Lookup::ask(Question question) {
    questions_.push_back(std::move(question));
    ++open_questions_;
}

void Lookup::ask_addresses() {
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
        ask({hosts_[i].name, RecordType::A, i});
        ask({hosts_[i].name, RecordType::Aaaa, i});
    }
}

std::vector<Question> Lookup::take_questions() { return std::move(questions_); }

void Lookup::on_records(const Question& question, const Records& records) {
    --open_questions_;
    if (records.kind == Records::Kind::Failed) {
        if (failure_.empty()) failure_ = records.text;
        return;
    }
    time_to_live_ = std::min(time_to_live_, records.time_to_live);
    secure_ = secure_ && records.secure;
    if (question.type == RecordType::Mx) on_mx(records);
    else on_addresses(question, records);
}

void Lookup::on_mx(const Records& records) {
    if (records.kind == Records::Kind::NoSuchName) {
        no_such_name_ = true;
        return;
    }
    for (const auto& rdata : records.rdata) {
        MxRecord record;
        if (!parse_mx(rdata, record)) continue;
        if (record.name.empty()) {
            // RFC 7505 §3: alone it says that there is no mail here; beside others it is a mistake.
            is_null_mx_ = records.rdata.size() == 1;
            continue;
        }
        const auto known =
            std::find_if(hosts_.begin(), hosts_.end(), [&](const MxHost& host) { return host.name == record.name; });
        if (known == hosts_.end()) hosts_.push_back({record.preference, std::move(record.name), {}});
        else known->preference = std::min(known->preference, record.preference);
    }
    if (is_null_mx_) return;
    if (records.rdata.empty()) {
        is_implicit_ = true;  // RFC 5321 §5.1
        hosts_.push_back({0, name_, {}});
    }
    std::stable_sort(hosts_.begin(), hosts_.end(),
                     [](const MxHost& a, const MxHost& b) { return a.preference < b.preference; });
    if (hosts_.size() > Resolver::kMaxHosts) hosts_.resize(Resolver::kMaxHosts);
    ask_addresses();
}

void Lookup::on_addresses(const Question& question, const Records& records) {
    auto& host = hosts_[question.host];
    for (const auto& rdata : records.rdata) {
        IpAddress address;
        if (host.addresses.size() < Resolver::kMaxAddresses && parse_address(rdata, address)) {
            host.addresses.push_back(address);
        }
    }
}

bool Lookup::has_address() const {
    return std::any_of(hosts_.begin(), hosts_.end(), [](const MxHost& host) { return !host.addresses.empty(); });
}

MxAnswer Lookup::finished(MxAnswer::Kind kind, std::string text) const {
    using Limits = UnboundResolver;
    MxAnswer answer;
    answer.kind = kind;
    answer.text = std::move(text);
    answer.secure = secure_ && kind != MxAnswer::Kind::Temporary;
    // While a part of it failed, the answer is good for a short time only.
    const bool is_partial = !failure_.empty() || !is_done();
    const auto longest = kind == MxAnswer::Kind::Temporary ? Limits::kFailureTtl
                         : is_partial                      ? std::chrono::minutes(1)
                         : kind == MxAnswer::Kind::Found   ? Limits::kLongestTtl
                                                           : Limits::kLongestNegativeTtl;
    answer.time_to_live = std::clamp<Duration>(time_to_live_, Limits::kShortestTtl, longest);
    return answer;
}

MxAnswer Lookup::answer(std::string_view why) const {
    using Outcome = MxAnswer::Kind;
    if (is_null_mx_) return finished(Outcome::NullMx, fmt::format("{} takes no mail (null MX)", name_));
    if (no_such_name_) return finished(Outcome::NoSuchDomain, fmt::format("{} does not exist", name_));
    if (has_address()) {
        auto found = finished(Outcome::Found, "");
        found.hosts = hosts_;
        return found;
    }
    if (!is_done()) return finished(Outcome::Temporary, fmt::format("{}: {}", name_, why));
    if (!failure_.empty()) return finished(Outcome::Temporary, fmt::format("{}: {}", name_, failure_));
    if (kind_ == Lookup::Kind::Host) return finished(Outcome::NoSuchDomain, fmt::format("{} has no address", name_));
    return finished(Outcome::NoSuchDomain, is_implicit_
                                               ? fmt::format("{} has neither MX nor address records", name_)
                                               : fmt::format("none of the MX hosts of {} has an address", name_));
}

}  // namespace postfleet::dns
