// The certificate, key and CA files of a listener as a TLS context.
//
// Threads: thread-safe; load_listener_tls blocks on files. Errors: the problem with its key and its place in the
// configuration.
#pragma once

#include <memory>
#include <variant>

#include "postfleet/config/load.hpp"
#include "postfleet/tls/server_context.hpp"

namespace postfleet::config_files {

tls::ServerSettings tls_settings_of(const config::Listener& listener);

std::variant<std::unique_ptr<tls::ServerContext>, config::Problem> load_listener_tls(const config::Config& config,
                                                                                     const config::Listener& listener);

}  // namespace postfleet::config_files
