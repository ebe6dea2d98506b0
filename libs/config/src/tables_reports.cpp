// The section about where delivery events go.
#include "tables.hpp"

namespace postfleet::config {

namespace {

const std::vector<std::string> kRecordNames{"d", "b", "t", "tq", "r"};

// Columns are checked as a whole, in check.cpp.
const Section& accounting_columns_section() {
    using A = AccountingColumns;
    const ListCodec<TextCodec, std::string> names{TextCodec{"column, `*` for the default ones, or `!column`"}};
    static const Section section{
        "reports[].columns",
        "What an accounting file shows of each record; `header_X-Foo` shows a header of the message.",
        {
            value_key<A>("d", &A::d, names, "Of deliveries.", {.default_text = "\"*\""}),
            value_key<A>("b", &A::b, names, "Of mail that ended undelivered.", {.default_text = "\"*\""}),
            value_key<A>("t", &A::t, names, "Of failed attempts that are made again.", {.default_text = "\"*\""}),
            value_key<A>("tq", &A::tq, names, "Of failed connections of a queue.", {.default_text = "\"*\""}),
            value_key<A>("r", &A::r, names, "Of receipts.", {.default_text = "\"*\""}),
        },
        {}};
    return section;
}

}  // namespace

const Section& report_section() {
    using F = FileReport;
    static const Section section{
        "reports[]",
        "A place that delivery events go to, at least once each.",
        {
            value_key<F>("type", &F::form,
                         ChoiceCodec<ReportForm>{{"file", "accounting"}, {ReportForm::Events, ReportForm::Accounting}},
                         "`file`: CloudEvents JSON, one event per line. `accounting`: CSV with the columns of "
                         "PowerMTA's accounting file. Both are rotated.",
                         kRequired),
            value_key<F>("name", &F::name, name_codec("a name"),
                         "Names the position up to which events were written; a new name begins anew.",
                         {.default_text = "file"}),
            value_key<F>("path", &F::path, PathCodec{}, "The file.", kRequired),
            value_key<F>("types", &F::types, EventTypesCodec{}, "Which events a `file` takes.",
                         {.default_text = "all"}),
            value_key<F>("records", &F::records,
                         ListCodec<ChoiceCodec<std::string>, std::string>{{kRecordNames, kRecordNames}},
                         "Which records an `accounting` file has: d delivered, b bounced, t failed attempts, tq failed "
                         "connections, r received."),
            object_key<F>("columns", &F::columns, accounting_columns_section(),
                          "Which columns an `accounting` file has."),
            value_key<F>("times", &F::times,
                         ChoiceCodec<ReportTimes>{{"iso", "epoch"}, {ReportTimes::Iso, ReportTimes::Epoch}},
                         "Times of an `accounting` file: `2026-11-22 10:11:12+0000`, or seconds since 1970."),
            value_key<F>("user_string", &F::user_string, TextCodec{}, "What the column `userString` shows."),
            value_key<F>(
                "privacy", &F::privacy,
                ChoiceCodec<ReportPrivacy>{{"retain", "redact", "hmac-sha256"},
                                           {ReportPrivacy::Retain, ReportPrivacy::Redact, ReportPrivacy::HmacSha256}},
                "What an `accounting` file shows of the local parts of recipients."),
            value_key<F>("privacy_key_file", &F::privacy_key_file, PathCodec{}, "The key of `hmac-sha256`."),
            value_key<F>("rotate_size", &F::rotate_size, SizeCodec{4096}, "A file of this size is put aside."),
            value_key<F>("rotate_after", &F::rotate_after, DurationCodec{.lowest = std::chrono::seconds(1)},
                         "A file of this age is put aside."),
            value_key<F>("keep", &F::keep, count(), "How many files that were put aside are kept."),
            value_key<F>("move_to", &F::move_to, PathCodec{},
                         "Folder on the same volume that files are put aside to, for a reader that removes them; "
                         "`keep` does not count there."),
        },
        {"url", "exchange", "quota", "on_full", "brokers", "topic"}};
    return section;
}

}  // namespace postfleet::config
