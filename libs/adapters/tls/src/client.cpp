#include "postfleet/tls/client.hpp"

#include "postfleet/tls/tls_stream.hpp"

namespace postfleet::tls {

ClientSettings settings_of(const TlsRules& rules) {
    ClientSettings settings;
    settings.ca_file = rules.ca_file;
    settings.certificate_file = rules.certificate_file;
    settings.private_key_file = rules.private_key_file.empty() ? rules.certificate_file : rules.private_key_file;
    settings.lowest_protocol = rules.lowest_version;
    if (!rules.tls12_ciphers.empty()) settings.tls12_ciphers = rules.tls12_ciphers;
    return settings;
}

ClientContexts::Loaded ClientContexts::of(const TlsRules& rules) {
    const std::lock_guard lock(mutex_);
    for (const auto& [known, context] : known_) {
        if (known == rules) return context;
    }
    Result<std::unique_ptr<ClientContext>> made = ClientContext::load(settings_of(rules));
    Loaded loaded = made ? Loaded(std::shared_ptr<const ClientContext>(std::move(*made))) : Loaded(made.error());
    known_.emplace_back(rules, loaded);
    return loaded;
}

void ClientContexts::forget() {
    const std::lock_guard lock(mutex_);
    known_.clear();
}

Result<std::unique_ptr<SecureStream>> Client::secure(std::unique_ptr<Stream> plain, const TlsRequest& request,
                                                     StreamHandler& handler) {
    const ClientContexts::Loaded context = contexts_.of(request.rules);
    if (!context) return context.error();
    Result<std::unique_ptr<TlsStream>> stream =
        TlsStream::connect(std::move(plain), **context,
                           {.server_name = request.server_name,
                            .authentication = request.authentication,
                            .session_key = request.session_key,
                            .other_names = request.names,
                            .tlsa = request.tlsa},
                           {.workspace = workspace_, .handler = handler, .handshake_deadline = request.deadline});
    if (!stream) return stream.error();
    return std::unique_ptr<SecureStream>(std::move(*stream));
}

}  // namespace postfleet::tls
