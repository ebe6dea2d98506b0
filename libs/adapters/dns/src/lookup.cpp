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

bool parse_tlsa(std::string_view rdata, TlsaRecord& out) {
    if (rdata.size() < 4) return false;
    const auto octet = [&](std::size_t at) { return static_cast<std::uint8_t>(rdata[at]); };
    out = {octet(0), octet(1), octet(2), std::string(rdata.substr(3))};
    return true;
}

bool parse_txt(std::string_view rdata, std::string& out) {
    out.clear();
    while (!rdata.empty()) {
        const auto length = static_cast<std::uint8_t>(rdata[0]);
        if (rdata.size() <= length) return false;
        out += rdata.substr(1, length);
        rdata.remove_prefix(length + 1u);
    }
    return true;
}

Lookup::Lookup(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {
    switch (kind) {
        case Kind::Mx: ask({name_, RecordType::Mx, 0}); break;
        case Kind::Tlsa: ask({name_, RecordType::Tlsa, 0}); break;
        case Kind::Txt: ask({name_, RecordType::Txt, 0}); break;
        case Kind::Host:
            hosts_.push_back({0, name_});
            ask_addresses();
            break;
    }
}

void Lookup::ask(Question question) {
    questions_.push_back(std::move(question));
    ++open_questions_;
}

void Lookup::ask_addresses() {
    host_has_state_.assign(hosts_.size(), false);
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
        hosts_[i].time_to_live = Duration::max();
        ask({hosts_[i].name, RecordType::A, i});
        ask({hosts_[i].name, RecordType::Aaaa, i});
    }
}

std::vector<Question> Lookup::take_questions() { return std::move(questions_); }

void Lookup::on_records(const Question& question, const Records& records) {
    --open_questions_;
    if (kind_ == Kind::Tlsa || kind_ == Kind::Txt) {
        records_ = records;
        return;
    }
    const bool is_address = question.type == RecordType::A || question.type == RecordType::Aaaa;
    if (records.kind == Records::Kind::Failed) {
        if (failure_.empty()) failure_ = records.text;
        auto& state = is_address ? hosts_[question.host].state : state_;
        // One address type that is bogus does not take the other one's word away.
        if (records.state == DnsState::Bogus && !(is_address && host_has_state_[question.host])) state = records.state;
        return;
    }
    time_to_live_ = std::min(time_to_live_, records.time_to_live);
    if (is_address) on_addresses(question, records);
    else on_mx(records);
}

void Lookup::on_mx(const Records& records) {
    state_ = records.state;
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
        if (known == hosts_.end()) hosts_.push_back({record.preference, std::move(record.name)});
        else known->preference = std::min(known->preference, record.preference);
    }
    if (is_null_mx_) return;
    if (records.rdata.empty()) {
        is_implicit_ = true;  // RFC 5321 §5.1
        hosts_.push_back({0, name_});
    }
    std::stable_sort(hosts_.begin(), hosts_.end(),
                     [](const MxHost& a, const MxHost& b) { return a.preference < b.preference; });
    if (hosts_.size() > Resolver::kMaxHosts) hosts_.resize(Resolver::kMaxHosts);
    ask_addresses();
}

void Lookup::on_addresses(const Question& question, const Records& records) {
    auto& host = hosts_[question.host];
    // Secure when all that is known of it is (RFC 7672 §2.2.2).
    const bool is_first = !host_has_state_[question.host];
    host.state = is_first || records.state == host.state ? records.state : DnsState::Insecure;
    host_has_state_[question.host] = true;
    host.time_to_live = std::min(host.time_to_live, records.time_to_live);
    if (!records.canonical_name.empty()) host.canonical_name = records.canonical_name;
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

namespace {

Duration clamped(Duration time_to_live, Duration longest) {
    return std::clamp<Duration>(time_to_live, UnboundResolver::kShortestTtl, longest);
}

}  // namespace

MxAnswer Lookup::finished(MxAnswer::Kind kind, std::string text) const {
    using Limits = UnboundResolver;
    MxAnswer answer;
    answer.kind = kind;
    answer.text = std::move(text);
    answer.state = kind_ == Kind::Host ? hosts_.front().state : state_;
    answer.is_implicit = is_implicit_;
    // While a part of it failed, the answer is good for a short time only.
    const bool is_partial = !failure_.empty() || !is_done();
    answer.is_partial = is_partial;
    const auto longest = kind == MxAnswer::Kind::Temporary ? Limits::kFailureTtl
                         : is_partial                      ? std::chrono::minutes(1)
                         : kind == MxAnswer::Kind::Found   ? Limits::kLongestTtl
                                                           : Limits::kLongestNegativeTtl;
    answer.time_to_live = clamped(time_to_live_, longest);
    return answer;
}

MxAnswer Lookup::mx_answer(std::string_view why) const {
    using Outcome = MxAnswer::Kind;
    if (is_null_mx_) return finished(Outcome::NullMx, fmt::format("{} takes no mail (null MX)", name_));
    if (no_such_name_) return finished(Outcome::NoSuchDomain, fmt::format("{} does not exist", name_));
    if (has_address()) {
        auto found = finished(Outcome::Found, "");
        found.hosts = hosts_;
        for (auto& host : found.hosts) host.time_to_live = clamped(host.time_to_live, UnboundResolver::kLongestTtl);
        return found;
    }
    if (!is_done()) return finished(Outcome::Temporary, fmt::format("{}: {}", name_, why));
    if (!failure_.empty()) return finished(Outcome::Temporary, fmt::format("{}: {}", name_, failure_));
    if (kind_ == Lookup::Kind::Host) return finished(Outcome::NoSuchDomain, fmt::format("{} has no address", name_));
    return finished(Outcome::NoSuchDomain, is_implicit_
                                               ? fmt::format("{} has neither MX nor address records", name_)
                                               : fmt::format("none of the MX hosts of {} has an address", name_));
}

template <class Record>
RecordAnswer<Record> Lookup::record_answer(std::string_view why, bool (*parse)(std::string_view, Record&)) const {
    using Limits = UnboundResolver;
    using Outcome = typename RecordAnswer<Record>::Kind;
    RecordAnswer<Record> answer;
    answer.state = records_.state;
    answer.time_to_live = Limits::kFailureTtl;
    switch (records_.kind) {
        case Records::Kind::Failed:
            answer.text = fmt::format("{}: {}", name_, is_done() ? std::string_view(records_.text) : why);
            return answer;
        case Records::Kind::NoSuchName: answer.kind = Outcome::NoSuchName; break;
        case Records::Kind::NoData: answer.kind = Outcome::NoRecords; break;
        case Records::Kind::Found: answer.kind = Outcome::Found; break;
    }
    const bool is_found = answer.kind == Outcome::Found;
    answer.time_to_live = clamped(records_.time_to_live, is_found ? Limits::kLongestTtl : Limits::kLongestNegativeTtl);
    if (!is_found) answer.text = fmt::format("{} has no such record", name_);
    for (const auto& rdata : records_.rdata) {
        Record record;
        if (answer.records.size() < Resolver::kMaxRecords && parse(rdata, record)) {
            answer.records.push_back(std::move(record));
        }
    }
    return answer;
}

Answer Lookup::answer(std::string_view why) const {
    switch (kind_) {
        case Kind::Tlsa: return record_answer<TlsaRecord>(why, &parse_tlsa);
        case Kind::Txt: return record_answer<std::string>(why, &parse_txt);
        case Kind::Mx:
        case Kind::Host: break;
    }
    return mx_answer(why);
}

Answer Lookup::failure(Kind kind, const std::string& name, std::string_view why) {
    return Lookup(kind, name).answer(why);
}

}  // namespace postfleet::dns
