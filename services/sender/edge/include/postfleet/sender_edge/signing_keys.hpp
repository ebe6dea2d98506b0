// The DKIM keys of a configuration, read from their files.
#pragma once

#include <memory>

#include "postfleet/base/log.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/sender/sender.hpp"

namespace postfleet::sender {

// One that cannot be read is told in the log; the mail that needs it waits, and all other mail goes on.
std::shared_ptr<const SigningKeys> load_signing_keys(const config::Config& config, const Log& log);

}  // namespace postfleet::sender
