#include "pickup_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace postfleet::ingest {
namespace {

constexpr std::size_t kFirstRead = 64 * 1024;

bool is_same_time(const struct timespec& a, const struct timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

ssize_t read_at(int fd, char* to, std::size_t octets, std::uint64_t offset) {
    for (;;) {
        const ssize_t got = ::pread(fd, to, octets, static_cast<off_t>(offset));
        if (got >= 0 || errno != EINTR) return got;
    }
}

}  // namespace

PickupFile::PickupFile(Claim claim, const Context& context)
    : claim_(std::move(claim)),
      directory_(context.directory),
      scratch_(context.scratch),
      transaction_(context.shard, context.listener, context.rules, {.id = claim_.id, .name = claim_.original},
                   context.driver) {}

PickupFile::Outcome PickupFile::end(Outcome outcome, std::string why) {
    why_ = std::move(why);
    file_.fd.reset();
    return outcome;
}

PickupFile::Outcome PickupFile::start() {
    auto opened = directory_.open_claimed(claim_);
    if (!opened) {
        const bool never = opened.error().kind == ErrorKind::PermissionDenied;
        return end(never ? Outcome::Bad : Outcome::Trouble, opened.error().text);
    }
    file_ = std::move(*opened);
    PickupEnvelope envelope;
    if (const Outcome read = read_envelope(envelope); read != Outcome::Pending) return read;
    beginning_.erase(0, envelope.octets);
    if (transaction_.begin(envelope, static_cast<std::uint64_t>(file_.facts.st_size) - envelope.octets) !=
        PickupTransaction::State::Hungry) {
        return outcome_of_transaction();
    }
    return go_on();
}

// Pending: it is complete.
PickupFile::Outcome PickupFile::read_envelope(PickupEnvelope& envelope) {
    const auto size = static_cast<std::uint64_t>(file_.facts.st_size);
    for (std::uint64_t wanted = std::min<std::uint64_t>(size, kFirstRead);; wanted = std::min(size, wanted * 2)) {
        if (!read_more(beginning_, wanted - offset_)) {
            return end(Outcome::Trouble, std::string("cannot read it: ") + std::strerror(errno));
        }
        if (offset_ < wanted) return end(Outcome::Changed, {});
        auto parsed = parse_pickup_envelope(beginning_, offset_ == size ? RestOfFile::IsEmpty : RestOfFile::Follows);
        if (!parsed) return end(Outcome::Bad, parsed.error().text);
        if (*parsed) {
            envelope = std::move(**parsed);
            return Outcome::Pending;
        }
        if (wanted > kMaxPickupEnvelopeOctets)
            return end(Outcome::Bad, "the lines in front of the message are too long");
    }
}

// False: errno says why. Less than asked for: the file ends there.
bool PickupFile::read_more(std::string& to, std::size_t octets) {
    const std::size_t before = to.size();
    to.resize(before + octets);
    std::size_t got = 0;
    while (got < octets) {
        const ssize_t part = read_at(file_.fd.get(), to.data() + before + got, octets - got, offset_ + got);
        if (part < 0) return false;
        if (part == 0) break;
        got += static_cast<std::size_t>(part);
    }
    to.resize(before + got);
    offset_ += got;
    return true;
}

PickupFile::Outcome PickupFile::go_on() {
    const auto size = static_cast<std::uint64_t>(file_.facts.st_size);
    if (!beginning_.empty() && transaction_.state() == PickupTransaction::State::Hungry) {
        const std::string beginning = std::exchange(beginning_, {});
        if (const Outcome fed = feed(beginning); fed != Outcome::Pending) return fed;
    }
    while (transaction_.state() == PickupTransaction::State::Hungry) {
        const std::size_t wanted = std::min<std::uint64_t>(scratch_.size(), size - offset_);
        const ssize_t got = read_at(file_.fd.get(), scratch_.data(), wanted, offset_);
        if (got < 0) return end(Outcome::Trouble, std::string("cannot read it: ") + std::strerror(errno));
        if (got == 0) return end(Outcome::Changed, {});
        offset_ += static_cast<std::uint64_t>(got);
        const Outcome fed = feed({scratch_.data(), static_cast<std::size_t>(got)});
        if (fed != Outcome::Pending) return fed;
    }
    return outcome_of_transaction();
}

PickupFile::Outcome PickupFile::feed(std::string_view octets) {
    const bool is_last = offset_ == static_cast<std::uint64_t>(file_.facts.st_size);
    if (is_last && has_changed()) return end(Outcome::Changed, {});
    transaction_.feed(octets);
    return outcome_of_transaction();
}

PickupFile::Outcome PickupFile::outcome_of_transaction() {
    switch (transaction_.state()) {
        case PickupTransaction::State::Hungry:
        case PickupTransaction::State::Waiting: return Outcome::Pending;
        case PickupTransaction::State::Accepted: return end(Outcome::Accepted, {});
        case PickupTransaction::State::Refused: break;
    }
    return end(transaction_.may_try_again() ? Outcome::Later : Outcome::Bad, transaction_.refusal());
}

bool PickupFile::has_changed() const {
    struct stat now {};
    if (::fstat(file_.fd.get(), &now) != 0) return true;
    return now.st_size != file_.facts.st_size || now.st_nlink != 1 || !is_same_time(now.st_mtim, file_.facts.st_mtim);
}

}  // namespace postfleet::ingest
