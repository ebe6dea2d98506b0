// The keys of a BrokerAccess, for every section that has one.
#pragma once

#include <utility>

#include "tables.hpp"

namespace postfleet::config {

// The section with those keys behind its own. `access`: from its owner to the BrokerAccess.
template <class Owner, class Access>
Section with_broker_access(Section section, Access access, KeyOptions url_options = {}) {
    section.keys.push_back(value_key<Owner>(
        "url", [access](auto& o) -> auto& { return access(o).url; }, BrokerUrlCodec{},
        "The RabbitMQ broker; several hosts of one cluster are separated by commas. `amqps://` is TLS with a verified "
        "certificate.",
        std::move(url_options)));
    section.keys.push_back(value_key<Owner>(
        "password_file", [access](auto& o) -> auto& { return access(o).password_file; }, PathCodec{},
        "A file with the password, instead of the one in `url`; read at every connection."));
    section.keys.push_back(value_key<Owner>(
        "ca_file", [access](auto& o) -> auto& { return access(o).ca_file; }, PathCodec{},
        "PEM file with the authorities that the broker's certificate may come from; default: the system's."));
    section.keys.push_back(value_key<Owner>(
        "certificate", [access](auto& o) -> auto& { return access(o).certificate; }, PathCodec{},
        "PEM file with our certificate, for a broker that asks for one."));
    section.keys.push_back(value_key<Owner>(
        "private_key", [access](auto& o) -> auto& { return access(o).private_key; }, PathCodec{},
        "PEM file with its key."));
    return section;
}

}  // namespace postfleet::config
