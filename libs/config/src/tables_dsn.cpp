// The section about notifications that senders get by mail.
#include "postfleet/mail/address.hpp"
#include "tables.hpp"

namespace postfleet::config {

namespace {

// It stands in a header as it is.
std::optional<std::string> check_mailbox(std::string& text) {
    const auto mailbox = Mailbox::parse(text);
    if (!mailbox) return "is not a mail address: " + mailbox.error().text;
    return std::nullopt;
}

}  // namespace

const Section& dsn_section() {
    using D = DsnSettings;
    static const Section section{
        "dsn",
        "Notifications that senders get by mail when a recipient failed, or when they asked to be told more "
        "(docs/DSN.md). Which ones: `dsn` in `shaping` and in `listeners`.",
        {
            value_key<D>("from", &D::from, TextCodec{"mail address", check_mailbox},
                         "Whom they come from in their header; in the envelope it is always <>.",
                         {.default_text = "(MAILER-DAEMON@hostname)"}),
            value_key<D>("virtual_mta", &D::virtual_mta, name_codec("name of a virtual MTA or pool"),
                         "Which way they go.", {.default_text = "(default_virtual_mta)"}),
            value_key<D>(
                "max_returned_size", &D::max_returned_size, SizeCodec{0, kContentChunkOctets},
                "The largest message that is returned whole (RET=FULL); of others the header. At most 256KiB."),
            value_key<D>("delay_after", &D::delay_after, DurationCodec{},
                         "How old mail is when senders who asked for it are told that it is late. For mail that is "
                         "accepted from then on."),
            value_key<D>("max_rate", &D::max_rate, RateCodec{},
                         "Notifications per period, over all senders; in between as many may go at once. What is "
                         "more is not sent, but counted and logged: the events have it."),
            value_key<D>("max_rate_per_sender", &D::max_rate_per_sender, RateCodec{},
                         "The same for one sender's address."),
        },
        {}};
    return section;
}

}  // namespace postfleet::config
