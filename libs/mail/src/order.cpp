#include "postfleet/mail/order.hpp"

#include <array>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet {

namespace {

constexpr std::array kActions{OrderAction::Pause, OrderAction::Suppress, OrderAction::Delete, OrderAction::Bounce,
                              OrderAction::Move};

struct TextField {
    const char* name;
    std::string MailSelector::*text;
};
constexpr std::array<TextField, 9> kTextFields{{
    {"queue", &MailSelector::queue},
    {"virtual MTA", &MailSelector::virtual_mta},
    {"pool", &MailSelector::pool},
    {"site", &MailSelector::site},
    {"domain", &MailSelector::domain},
    {"tenant", &MailSelector::tenant},
    {"job", &MailSelector::job},
    {"sender", &MailSelector::reverse_path},
    {"recipient", &MailSelector::recipient},
}};

// A queue is its site and its virtual MTA.
MailSelector with_queue_parted(MailSelector which) {
    const std::size_t slash = which.queue.rfind('/');
    if (slash == std::string::npos) return which;
    const std::string site = which.queue.substr(0, slash), virtual_mta = which.queue.substr(slash + 1);
    if (which.site.empty() && site != "*") which.site = site;
    if (which.virtual_mta.empty() && virtual_mta != "*") which.virtual_mta = virtual_mta;
    which.queue.clear();
    return which;
}

}  // namespace

const char* to_string(OrderAction action) {
    switch (action) {
        case OrderAction::Pause: return "pause";
        case OrderAction::Suppress: return "suppress";
        case OrderAction::Delete: return "delete";
        case OrderAction::Bounce: return "bounce";
        case OrderAction::Move: return "move";
    }
    return "unknown";
}

std::optional<OrderAction> parse_order_action(std::string_view name) {
    for (const OrderAction action : kActions) {
        if (name == to_string(action)) return action;
    }
    return std::nullopt;
}

std::string describe(const MailSelector& which) {
    std::string out;
    const auto add = [&](const char* name, const std::string& text) {
        out += (out.empty() ? "" : ", ") + std::string(name) + ' ' + text;
    };
    for (const TextField& field : kTextFields) {
        if (!(which.*field.text).empty()) add(field.name, which.*field.text);
    }
    if (which.message) add("message", which.message->to_string());
    if (which.accepted_before) add("accepted before", format_rfc3339(*which.accepted_before));
    return out.empty() ? "everything" : out;
}

bool includes(const MailSelector& wide_given, const MailSelector& narrow_given) {
    const MailSelector wide = with_queue_parted(wide_given), narrow = with_queue_parted(narrow_given);
    for (const TextField& field : kTextFields) {
        const std::string& pattern = wide.*field.text;
        if (pattern.empty() || pattern == "*") continue;
        const std::string& text = narrow.*field.text;
        if (text.empty() || !matches_wildcard(to_ascii_lower(pattern), to_ascii_lower(text))) return false;
    }
    if (wide.message && wide.message != narrow.message) return false;
    return !wide.accepted_before || (narrow.accepted_before && *narrow.accepted_before <= *wide.accepted_before);
}

}  // namespace postfleet
