// The certificate, key and CA files of a listener as a TLS context.
//
// Threads: thread-safe; load_listener_tls blocks on files. Errors: the problem with its key and its place in the
// configuration.
#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "postfleet/config/load.hpp"
#include "postfleet/tls/server_context.hpp"

namespace postfleet::config_files {

tls::ServerSettings tls_settings_of(const config::Listener& listener);

std::variant<std::unique_ptr<tls::ServerContext>, config::Problem> load_listener_tls(const config::Config& config,
                                                                                     const config::Listener& listener);

// Whether the files of a gRPC listener are good; it reads them itself. nullopt: they are, or it has none.
std::optional<config::Problem> check_grpc_tls(const config::Config& config, const config::GrpcListener& listener);

}  // namespace postfleet::config_files
