#include "stream_bio.hpp"

#include <algorithm>
#include <cstring>

#include "postfleet/tls/tls_stream.hpp"

namespace postfleet::tls {

namespace {

TlsStream& stream_of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

BIO_METHOD* make_method() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "postfleet stream");
    if (method == nullptr) return nullptr;
    BIO_meth_set_read_ex(method, StreamBio::read);
    BIO_meth_set_write_ex(method, StreamBio::write);
    BIO_meth_set_ctrl(method, StreamBio::control);
    return method;
}

}  // namespace

BioPointer StreamBio::make(TlsStream& stream) {
    static BIO_METHOD* const method = make_method();  // immutable, lives as long as the process
    BioPointer bio(method == nullptr ? nullptr : BIO_new(method));
    if (bio == nullptr) return nullptr;
    BIO_set_data(bio.get(), &stream);
    BIO_set_init(bio.get(), 1);
    return bio;
}

int StreamBio::read(BIO* bio, char* into, std::size_t size, std::size_t* got) {
    std::string_view& input = stream_of(bio).input_;
    BIO_clear_retry_flags(bio);
    if (input.empty()) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = std::min(size, input.size());
    std::memcpy(into, input.data(), *got);
    input.remove_prefix(*got);
    return 1;
}

int StreamBio::write(BIO* bio, const char* octets, std::size_t size, std::size_t* written) {
    BIO_clear_retry_flags(bio);
    stream_of(bio).workspace_.ciphertext_.append(octets, size);
    *written = size;
    return 1;
}

long StreamBio::control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

}  // namespace postfleet::tls
