// The keys of mail for us.
#include "tables.hpp"

namespace postfleet::config {
namespace {

const Section& domain_section() {
    using D = IntakeDomain;
    static const Section section{
        "intake.domains[]",
        "A domain whose mail is for us, whatever the local part.",
        {
            value_key<D>("domain", &D::domain, domain_codec(), "The domain in RCPT.", {.required = true}),
            value_key<D>(
                "kind", &D::kind,
                ChoiceCodec<IntakeKind>{{"bounce", "complaint", "unsubscribe"},
                                        {IntakeKind::Bounce, IntakeKind::Complaint, IntakeKind::Unsubscribe}},
                "What its mail is about: bounces (what MAIL FROM names), complaints of feedback loops, or unsubscribe "
                "requests.",
                {.required = true}),
            value_key<D>("tenant", &D::tenant, name_codec("name of a tenant"), "Whose mail it is about."),
        },
        {}};
    return section;
}

}  // namespace

const Section& intake_section() {
    using I = Intake;
    static const Section section{
        "intake",
        "Mail for us (docs/INTAKE.md): taken by every listener, from anybody, and kept in data_dir/intake.",
        {
            list_key<I, IntakeDomain>("domains", &I::domains, domain_section(), "The domains.",
                                      [](const IntakeDomain& domain) { return domain.domain; }),
            value_key<I>("max_size", &I::max_size, SizeCodec{1 << 20},
                         "When this much is kept, more is refused with 452 until somebody takes some away."),
            value_key<I>("max_message_size", &I::max_message_size, SizeCodec{4096},
                         "Larger ones are refused with 552, also where the listener would take them."),
        },
        {}};
    return section;
}

}  // namespace postfleet::config
