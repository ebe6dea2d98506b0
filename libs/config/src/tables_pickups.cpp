// The section about directories that take mail as files.
#include "tables.hpp"

namespace postfleet::config {
namespace {

const KeyOptions kFixed{.required = true, .needs_restart = true};

std::optional<std::string> check_end_of_name(std::string& text) {
    if (text.empty() || text.find('/') != std::string::npos) return "is not the end of a file name";
    return std::nullopt;
}

}  // namespace

const Section& pickup_section() {
    using P = Pickup;
    static const Section section{
        "pickups.<name>",
        "A directory that takes mail as files (docs/PICKUP.md). Its name stands in events and bindings like that of a "
        "listener.",
        {
            value_key<P>("directory", &P::directory, PathCodec{},
                         "Where finished files are moved in. It must be there, and not be writable by everybody.",
                         kFixed),
            value_key<P>("bad_directory", &P::bad_directory, PathCodec{},
                         "Where a file goes that cannot be sent, with the reason beside it as `<name>.reason`. On the "
                         "same file system as `directory`; made when it is missing.",
                         kFixed),
            value_key<P>("tenant", &P::tenant, name_codec("name of a tenant"), "Its mail belongs to this tenant."),
            value_key<P>("virtual_mta", &P::virtual_mta, name_codec("name of a virtual MTA or pool"),
                         "Where its mail goes when neither the file nor a binding says so.",
                         {.default_text = "(default_virtual_mta)"}),
            value_key<P>(
                "headers", &P::headers,
                ChoiceCodec<HeaderTrust>{{"ignore", "honour"}, {HeaderTrust::Ignore, HeaderTrust::Honour}},
                "Whether x-virtual-mta, x-job, x-envid and x-schedule are obeyed and taken out of the message."),
            value_key<P>("undefined_variables", &P::undefined_variables,
                         ChoiceCodec<UndefinedVariable>{
                             {"empty", "keep", "refuse"},
                             {UndefinedVariable::Empty, UndefinedVariable::Keep, UndefinedVariable::Refuse}},
                         "As of a listener, for files with mail merge."),
            value_key<P>(
                "message_checks", &P::message_checks,
                ChoiceCodec<MessageChecks>{{"allow", "repair", "refuse"},
                                           {MessageChecks::Allow, MessageChecks::Repair, MessageChecks::Refuse}},
                "As of a listener."),
            value_key<P>("remove_bcc", &P::remove_bcc, FlagCodec{}, "Whether Bcc fields are taken out of the message."),
            value_key<P>("ignore", &P::ignore,
                         ListCodec<TextCodec, std::string>{TextCodec{"end of a file name", check_end_of_name}, true},
                         "Files whose names end so are not taken, nor are those whose names begin with a dot."),
            value_key<P>("max_header_size", &P::max_header_size, SizeCodec{1024, kContentChunkOctets},
                         "Messages with a larger header are bad files. At most 256KiB."),
            value_key<P>("max_header_field_size", &P::max_header_field_size, SizeCodec{1024, kContentChunkOctets},
                         "The same for each field of it."),
            value_key<P>("max_message_size", &P::max_message_size, SizeCodec{1024}, "Larger messages are bad files."),
            value_key<P>("max_recipients", &P::max_recipients, CountCodec{1, 100'000, false, {}},
                         "Files with more receivers are bad files."),
            value_key<P>("settle_time", &P::settle_time, DurationCodec{.highest = std::chrono::hours(1)},
                         "A file that was not moved in, but written in place, is taken when it has not changed for "
                         "this long."),
            value_key<P>("rescan_interval", &P::rescan_interval,
                         DurationCodec{.lowest = std::chrono::milliseconds(100), .highest = std::chrono::hours(1)},
                         "How often to look for files that the kernel did not tell of, as on network file systems."),
        },
        {}};
    return section;
}

}  // namespace postfleet::config
