// StreamBio: what OpenSSL reads ciphertext from and writes it to: the octets of the current callback, and the
// workspace's buffer. No buffer of its own.
#pragma once

#include "openssl_types.hpp"

namespace postfleet::tls {

class TlsStream;

struct StreamBio {
    // Null when there is no memory. The stream outlives the BIO.
    static BioPointer make(TlsStream& stream);

    static int read(BIO* bio, char* into, std::size_t size, std::size_t* got);
    static int write(BIO* bio, const char* octets, std::size_t size, std::size_t* written);
    static long control(BIO* bio, int command, long number, void* pointer);
};

}  // namespace postfleet::tls
