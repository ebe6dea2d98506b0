#include "broker_options.hpp"

#include <utility>

namespace postfleet::standalone {

void add_broker_options(CLI::App& command, BrokerOptions& options) {
    const auto add = [&](const char* name, std::string& value, const char* what, const char* variable,
                         const char* type) {
        command.add_option(name, value, what)->envname(variable)->type_name(type)->capture_default_str();
    };
    add("--broker", options.url, "RabbitMQ of the cluster: amqp:// or amqps://user:password@host:port,host:port/vhost",
        "POSTFLEET_BROKER", "URL");
    add("--broker-password-file", options.files.password_file, "Its password", "POSTFLEET_BROKER_PASSWORD_FILE",
        "FILE");
    add("--broker-ca", options.files.ca_file, "CA of the broker's certificate; without it: the system's",
        "POSTFLEET_BROKER_CA", "FILE");
    add("--broker-certificate", options.files.certificate, "Our certificate for the broker",
        "POSTFLEET_BROKER_CERTIFICATE", "FILE");
    add("--broker-key", options.files.private_key, "Its private key", "POSTFLEET_BROKER_KEY", "FILE");
}

Result<BrokerAccess> access_of(const BrokerOptions& options) {
    auto url = BrokerUrl::parse(options.url);
    if (!url) return Error{ErrorKind::InvalidArgument, "--broker: " + url.error().text};
    BrokerAccess access = options.files;
    access.url = *std::move(url);
    return access;
}

}  // namespace postfleet::standalone
