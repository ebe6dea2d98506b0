// OpenSSL's error queue as sentences.
#pragma once

#include <string>

#include "openssl_types.hpp"
#include "postfleet/tls/facts.hpp"

namespace postfleet::tls {

// The first error of this thread's queue, which is the cause of the others; empties the queue.
std::string take_openssl_error();

// What a result of X509_verify_cert() means.
FailureKind kind_of_verification(long error);

struct Failure {
    FailureKind kind = FailureKind::Other;
    std::string text;
};

// What stopped `ssl`: from the queue, the alert and the result of verification. Empties the queue.
Failure take_failure(const SSL* ssl);

}  // namespace postfleet::tls
