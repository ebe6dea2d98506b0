// CertificateFacts from an X.509 certificate.
#pragma once

#include <string>

#include "openssl_types.hpp"
#include "postfleet/tls/facts.hpp"

namespace postfleet::tls {

CertificateFacts facts_of(const X509* certificate);
WallTime to_wall_time(const ASN1_TIME* time);

}  // namespace postfleet::tls
