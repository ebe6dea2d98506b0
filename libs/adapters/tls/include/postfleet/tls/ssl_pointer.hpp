// SslPointer: an OpenSSL connection object, owned, without OpenSSL's headers.
#pragma once

#include <memory>

struct ssl_st;

namespace postfleet::tls {

struct FreeSsl {
    void operator()(ssl_st* ssl) const;
};
using SslPointer = std::unique_ptr<ssl_st, FreeSsl>;

}  // namespace postfleet::tls
