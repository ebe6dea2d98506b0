#include "postfleet/base/result.hpp"

#include <cstdio>
#include <cstdlib>

namespace postfleet {

const char* to_string(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::InvalidArgument: return "invalid argument";
        case ErrorKind::NotFound: return "not found";
        case ErrorKind::AlreadyExists: return "already exists";
        case ErrorKind::ResourceExhausted: return "resource exhausted";
        case ErrorKind::Unavailable: return "unavailable";
        case ErrorKind::DeadlineExceeded: return "deadline exceeded";
        case ErrorKind::Corruption: return "corruption";
        case ErrorKind::PermissionDenied: return "permission denied";
        case ErrorKind::Cancelled: return "cancelled";
        case ErrorKind::Internal: return "internal error";
    }
    return "unknown";
}

// Straight to standard error: the log may be what is broken, and nothing asynchronous runs after abort().
void require_failed(const std::source_location& where) {
    std::fprintf(stderr, "postfleet: bug: assertion failed at %s:%u in %s; stopping, the spool keeps the mail\n",
                 where.file_name(), static_cast<unsigned>(where.line()), where.function_name());
    std::fflush(stderr);
    std::abort();
}

}  // namespace postfleet
