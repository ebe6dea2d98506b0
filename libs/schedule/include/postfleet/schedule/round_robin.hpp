// Ring: deficit round robin over members that live in a vector (Shreedhar, Varghese: "Efficient Fair Queuing
// using Deficit Round Robin", with the debt carried over instead of looked ahead).
//
// A member has a `round` and says is_idle(). Whoever serves it takes the cost off its deficit; a member in debt
// is passed by, with kQuantum added each time, until it has paid. One that runs idle stays until its turn comes,
// so that it keeps its debt when it fills again at once; what it saved is forgotten then.
//
// Threads: externally locked. The vector may grow; members are named by their place.
#pragma once

#include <cstdint>
#include <vector>

namespace postfleet::schedule {

inline constexpr std::uint32_t kNoMember = UINT32_MAX;
inline constexpr std::int64_t kQuantum = 1;

struct Round {
    std::int64_t deficit = 0;
    std::uint32_t next = kNoMember;
    bool in_ring = false;
};

struct Ring {
    std::uint32_t first = kNoMember, last = kNoMember;
};

// The member to serve now. Some member of the ring must not be idle.
template <class Member>
std::uint32_t next_in_round(Ring& ring, std::vector<Member>& members) {
    for (;;) {
        const std::uint32_t number = ring.first;
        Member& member = members[number];
        if (member.is_idle()) {
            ring.first = member.round.next;
            if (ring.first == kNoMember) ring.last = kNoMember;
            member.round.in_ring = false;
            if (member.round.deficit > 0) member.round.deficit = 0;
            continue;
        }
        if (member.round.deficit > 0) return number;
        if (ring.first == ring.last) {  // alone: nobody to wait for
            member.round.deficit = kQuantum;
            return number;
        }
        member.round.deficit += kQuantum;
        ring.first = member.round.next;
        members[ring.last].round.next = number;
        member.round.next = kNoMember;
        ring.last = number;
    }
}

// Behind the others, if it is not in the ring yet.
template <class Member>
void join_round(Ring& ring, std::vector<Member>& members, std::uint32_t number) {
    Round& round = members[number].round;
    if (round.in_ring) return;
    round.in_ring = true;
    round.next = kNoMember;
    if (round.deficit == 0) round.deficit = kQuantum;
    (ring.first == kNoMember ? ring.first : members[ring.last].round.next) = number;
    ring.last = number;
}

// At once, wherever it stands: its place in the vector will be used again.
template <class Member>
void remove_from_round(Ring& ring, std::vector<Member>& members, std::uint32_t number) {
    if (!members[number].round.in_ring) return;
    std::uint32_t before = kNoMember;
    for (std::uint32_t at = ring.first; at != number; at = members[at].round.next) before = at;
    const std::uint32_t after = members[number].round.next;
    (before == kNoMember ? ring.first : members[before].round.next) = after;
    if (after == kNoMember) ring.last = before;
    members[number].round = {};
}

}  // namespace postfleet::schedule
