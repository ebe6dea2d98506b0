// Credentials of both ends, and gRPC's status as our errors.
//
// In the few .cpp files that speak gRPC: its headers are heavy.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/status.h>

#include <memory>

#include "postfleet/base/result.hpp"
#include "postfleet/rpc/tls_files.hpp"

namespace postfleet::rpc {

std::shared_ptr<grpc::ServerCredentials> server_credentials(const TlsFiles& files);
std::shared_ptr<grpc::ServerCredentials> server_credentials(const ListenerFiles& files);
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const TlsFiles& files);

grpc::Status to_grpc(const Error& error);
Error from_grpc(const grpc::Status& status);

}  // namespace postfleet::rpc
