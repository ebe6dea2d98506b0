#include "selection.hpp"

namespace postfleet::standalone {

runtime::ControlArguments Selection::given() const {
    runtime::ControlArguments all;
    for (const auto& [name, value] : arguments) {
        if (!value.empty()) all.emplace(name, value);
    }
    if (everything) all.emplace("everything", "yes");
    return all;
}

void add_selection(CLI::App& command, Selection& selection, Reach reach, const char* all) {
    const auto add = [&](const char* option, const char* name, const char* help, const char* type) {
        command.add_option(option, selection.arguments[name], help)->type_name(type)->group("Which mail (* in names)");
    };
    add("QUEUE", "queue", "SITE/VMTA as `show queues` names it; each side may have *", "");
    add("--vmta", "virtual_mta", "Mail of this virtual MTA", "NAME");
    add("--site", "site", "Mail to this site", "NAME");
    if (all != nullptr) {
        command.add_flag("--all", selection.everything, all)->group("Which mail (* in names)");
    }
    if (reach == Reach::Queues) return;
    add("--pool", "pool", "Mail that was bound to this pool", "NAME");
    add("--domain", "domain", "Mail to recipients at this domain", "NAME");
    add("--tenant", "tenant", "Mail of this tenant", "NAME");
    add("--job", "job", "Mail of this job", "NAME");
    add("--mail-from", "mail_from", "Mail from this address (MAIL FROM)", "ADDRESS");
    add("--recipient", "recipient", "Mail to this address", "ADDRESS");
    add("--message", "message", "One message", "ID");
    add("--older-than", "older_than", "Mail accepted longer ago than that", "TIME");
}

}  // namespace postfleet::standalone
