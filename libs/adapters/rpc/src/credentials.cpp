#include "credentials.hpp"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "postfleet/base/text.hpp"

namespace postfleet::rpc {

namespace {

constexpr std::size_t kMostErrorText = 1'000;

bool is_loopback(std::string_view address) {
    return address.starts_with("127.") || address.starts_with("localhost:") || address.starts_with("[::1]:");
}

std::shared_ptr<grpc::experimental::CertificateProviderInterface> watcher(const TlsFiles& files) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(kTlsRefresh).count();
    return std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
        files.private_key, files.certificate, files.ca, static_cast<unsigned>(seconds));
}

}  // namespace

Status check_tls_files(const TlsFiles& files, const std::string& addresses) {
    const int given = !files.ca.empty() + !files.certificate.empty() + !files.private_key.empty();
    if (given == 0) {
        std::string_view rest = addresses;
        while (!files.unsafe_plaintext && !rest.empty()) {
            const std::string_view address = rest.substr(0, rest.find(','));
            if (!is_loopback(address)) {
                return Error{ErrorKind::InvalidArgument,
                             std::string(address) +
                                 ": between machines the control plane needs certificates: give --tls-ca, "
                                 "--tls-certificate and --tls-key (or --unsafe-plaintext in a network of your own)"};
            }
            rest.remove_prefix(std::min(rest.size(), address.size() + 1));
        }
        return {};
    }
    if (given != 3) {
        return Error{ErrorKind::InvalidArgument, "--tls-ca, --tls-certificate and --tls-key go together"};
    }
    for (const std::string& file : {files.ca, files.certificate, files.private_key}) {
        if (::access(file.c_str(), R_OK) == 0) continue;
        return Error{ErrorKind::PermissionDenied, "cannot read " + file + ": " + std::strerror(errno)};
    }
    return {};
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(const TlsFiles& files) {
    if (!files.is_set()) return grpc::InsecureServerCredentials();
    grpc::experimental::TlsServerCredentialsOptions options(watcher(files));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(const ListenerFiles& files) {
    if (!files.is_set()) return grpc::InsecureServerCredentials();
    grpc::experimental::TlsServerCredentialsOptions options(
        watcher({.ca = files.client_ca,
                 .certificate = files.certificate,
                 .private_key = files.private_key.empty() ? files.certificate : files.private_key}));
    options.watch_identity_key_cert_pairs();
    if (files.client_ca.empty()) {
        options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    } else {
        options.watch_root_certs();
        options.set_cert_request_type(files.requires_client_certificate
                                          ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                          : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    }
    return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const TlsFiles& files) {
    if (!files.is_set()) return grpc::InsecureChannelCredentials();
    grpc::experimental::TlsChannelCredentialsOptions options;
    options.set_certificate_provider(watcher(files));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
    return grpc::experimental::TlsCredentials(options);
}

grpc::Status to_grpc(const Error& error) {
    const std::string text = printable(error.text, kMostErrorText);
    switch (error.kind) {
        case ErrorKind::InvalidArgument: return {grpc::StatusCode::INVALID_ARGUMENT, text};
        case ErrorKind::NotFound: return {grpc::StatusCode::NOT_FOUND, text};
        case ErrorKind::AlreadyExists: return {grpc::StatusCode::ALREADY_EXISTS, text};
        case ErrorKind::ResourceExhausted: return {grpc::StatusCode::RESOURCE_EXHAUSTED, text};
        case ErrorKind::Unavailable: return {grpc::StatusCode::UNAVAILABLE, text};
        case ErrorKind::DeadlineExceeded: return {grpc::StatusCode::DEADLINE_EXCEEDED, text};
        case ErrorKind::Corruption: return {grpc::StatusCode::DATA_LOSS, text};
        case ErrorKind::PermissionDenied: return {grpc::StatusCode::PERMISSION_DENIED, text};
        case ErrorKind::Cancelled: return {grpc::StatusCode::CANCELLED, text};
        case ErrorKind::Internal: return {grpc::StatusCode::INTERNAL, text};
    }
    return {grpc::StatusCode::INTERNAL, text};
}

namespace {

// Who shows no certificate, or a wrong one, hears no more than that the connection ended.
bool may_want_certificates(std::string_view text) {
    if (!text.starts_with("failed to connect")) return false;
    return text.find("Socket closed") != std::string_view::npos || text.find("andshake") != std::string_view::npos;
}

}  // namespace

Error from_grpc(const grpc::Status& status) {
    std::string text = printable(status.error_message(), kMostErrorText);
    if (may_want_certificates(text)) {
        text += "; do both sides have certificates of one CA (--tls-ca, --tls-certificate, --tls-key)?";
    }
    switch (status.error_code()) {
        case grpc::StatusCode::INVALID_ARGUMENT: return {ErrorKind::InvalidArgument, text};
        case grpc::StatusCode::NOT_FOUND: return {ErrorKind::NotFound, text};
        case grpc::StatusCode::ALREADY_EXISTS: return {ErrorKind::AlreadyExists, text};
        case grpc::StatusCode::RESOURCE_EXHAUSTED: return {ErrorKind::ResourceExhausted, text};
        case grpc::StatusCode::UNAVAILABLE: return {ErrorKind::Unavailable, text};
        case grpc::StatusCode::DEADLINE_EXCEEDED: return {ErrorKind::DeadlineExceeded, text};
        case grpc::StatusCode::DATA_LOSS: return {ErrorKind::Corruption, text};
        case grpc::StatusCode::PERMISSION_DENIED:
        case grpc::StatusCode::UNAUTHENTICATED: return {ErrorKind::PermissionDenied, text};
        case grpc::StatusCode::CANCELLED: return {ErrorKind::Cancelled, text};
        default: return {ErrorKind::Internal, text};
    }
}

}  // namespace postfleet::rpc
