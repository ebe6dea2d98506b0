#include "postfleet/net/unique_fd.hpp"

#include <unistd.h>

namespace postfleet::net {

void UniqueFd::reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace postfleet::net
