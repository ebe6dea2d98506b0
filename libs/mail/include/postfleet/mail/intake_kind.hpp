// IntakeKind: what mail for us is about. Threads: a value.
#pragma once

#include <cstddef>
#include <cstdint>

namespace postfleet {

enum class IntakeKind : std::uint8_t { Bounce, Complaint, Unsubscribe };
inline constexpr std::size_t kIntakeKinds = 3;

inline const char* to_string(IntakeKind kind) {
    switch (kind) {
        case IntakeKind::Bounce: return "bounce";
        case IntakeKind::Complaint: return "complaint";
        case IntakeKind::Unsubscribe: return "unsubscribe";
    }
    return "unknown";
}

}  // namespace postfleet
