#include "postfleet/crypto/signing_keys.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "postfleet/base/require.hpp"

namespace postfleet::crypto {

namespace {

constexpr std::size_t kMaxFileOctets = 64 << 10;
constexpr int kLeastRsaBits = 1024;  // RFC 8301 §3.2

struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    void operator()(BIO* bio) const { BIO_free(bio); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::string openssl_error() {
    char text[256] = "unknown error";
    if (const unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return text;
}

Error failure(std::string what, ErrorKind kind = ErrorKind::Internal) { return {kind, std::move(what)}; }

std::string raw_public_key(EVP_PKEY* key) {
    std::size_t size = 0;
    require(EVP_PKEY_get_raw_public_key(key, nullptr, &size) == 1);
    std::string octets(size, '\0');
    require(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(octets.data()), &size) == 1);
    return octets;
}

std::string public_key_info(EVP_PKEY* key) {
    unsigned char* octets = nullptr;
    const int size = i2d_PUBKEY(key, &octets);
    require(size > 0);
    std::string out(reinterpret_cast<const char*>(octets), static_cast<std::size_t>(size));
    OPENSSL_free(octets);
    return out;
}

class OpensslSigningKey final : public SigningKey {
public:
    explicit OpensslSigningKey(Owned<EVP_PKEY> key) : key_(std::move(key)) {}

    Type type() const override { return EVP_PKEY_get_id(key_.get()) == EVP_PKEY_RSA ? Type::Rsa : Type::Ed25519; }
    unsigned bits() const override { return static_cast<unsigned>(EVP_PKEY_get_bits(key_.get())); }
    std::string public_octets() const override {
        return type() == Type::Rsa ? public_key_info(key_.get()) : raw_public_key(key_.get());
    }
    Result<std::string> sign(const Sha256Digest& digest) const override {
        ERR_clear_error();
        return type() == Type::Rsa ? sign_rsa(digest) : sign_ed25519(digest);
    }

private:
    // A context costs as much to prepare as a few per cent of a signature; there are no more of them than threads.
    Owned<EVP_PKEY_CTX> take_context() const {
        {
            const std::lock_guard lock(mutex_);
            if (!contexts_.empty()) {
                Owned<EVP_PKEY_CTX> context = std::move(contexts_.back());
                contexts_.pop_back();
                return context;
            }
        }
        Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key_.get(), nullptr));
        const bool is_ready = context != nullptr && EVP_PKEY_sign_init(context.get()) == 1 &&
                              EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1 &&
                              EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) == 1;
        return is_ready ? std::move(context) : nullptr;
    }

    Result<std::string> sign_rsa(const Sha256Digest& digest) const {
        Owned<EVP_PKEY_CTX> context = take_context();
        if (context == nullptr) return failure("RSA: " + openssl_error());
        std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())), '\0');
        std::size_t size = signature.size();
        if (EVP_PKEY_sign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, digest.data(),
                          digest.size()) != 1) {
            return failure("RSA: " + openssl_error());
        }
        signature.resize(size);
        const std::lock_guard lock(mutex_);
        contexts_.push_back(std::move(context));
        return signature;
    }

    Result<std::string> sign_ed25519(const Sha256Digest& digest) const {
        const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
        std::string signature(64, '\0');
        std::size_t size = signature.size();
        if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
            EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, digest.data(),
                           digest.size()) != 1) {
            return failure("Ed25519: " + openssl_error());
        }
        return signature;
    }

    const Owned<EVP_PKEY> key_;
    mutable std::mutex mutex_;
    mutable std::vector<Owned<EVP_PKEY_CTX>> contexts_;
};

struct FileOctets {
    std::string octets;
    ~FileOctets() { wipe(octets); }
};

Status read_protected(const std::string& path, std::string& octets) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not hold us
    if (fd < 0) {
        const int error = errno;
        return failure(path + ": " + std::strerror(error),
                       error == ENOENT ? ErrorKind::NotFound : ErrorKind::PermissionDenied);
    }
    const struct Close {
        int fd;
        ~Close() { ::close(fd); }
    } closer{fd};
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return failure(path + ": is no file", ErrorKind::InvalidArgument);
    if ((status.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        return failure(path + ": others may read or change it; protect it with: chmod 600 " + path,
                       ErrorKind::PermissionDenied);
    }
    if (static_cast<std::size_t>(status.st_size) > kMaxFileOctets)
        return failure(path + ": is too large for a key", ErrorKind::InvalidArgument);
    octets.resize(static_cast<std::size_t>(status.st_size));
    std::size_t got = 0;
    while (got < octets.size()) {
        const ssize_t part = ::read(fd, octets.data() + got, octets.size() - got);
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return failure(path + ": " + std::strerror(errno), ErrorKind::Unavailable);
        if (part == 0) break;
        got += static_cast<std::size_t>(part);
    }
    octets.resize(got);
    return {};
}

// Without it OpenSSL would ask for the passphrase on the terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace

Result<std::shared_ptr<const SigningKey>> load_signing_key(const std::string& path) {
    FileOctets file;
    if (Status read = read_protected(path, file.octets); !read) return read.error();
    if (file.octets.find("PRIVATE KEY-----") == std::string::npos) {
        return failure(path + ": holds no private key in PEM form", ErrorKind::InvalidArgument);
    }
    ERR_clear_error();
    const Owned<BIO> reader(BIO_new_mem_buf(file.octets.data(), static_cast<int>(file.octets.size())));
    Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(reader.get(), nullptr, no_passphrase, nullptr));
    if (key == nullptr) {
        return failure(path + ": the key is damaged or encrypted: " + openssl_error(), ErrorKind::InvalidArgument);
    }
    const int id = EVP_PKEY_get_id(key.get());
    if (id != EVP_PKEY_RSA && id != EVP_PKEY_ED25519) {
        return failure(path + ": is neither an RSA nor an Ed25519 key", ErrorKind::InvalidArgument);
    }
    if (id == EVP_PKEY_RSA && EVP_PKEY_get_bits(key.get()) < kLeastRsaBits) {
        return failure(path + ": the RSA key is shorter than 1024 bits", ErrorKind::InvalidArgument);
    }
    return std::shared_ptr<const SigningKey>(std::make_shared<OpensslSigningKey>(std::move(key)));
}

Result<NewKey> make_signing_key(SigningKey::Type type, unsigned bits) {
    ERR_clear_error();
    Owned<EVP_PKEY> key(type == SigningKey::Type::Rsa
                            ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(bits))
                            : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    if (key == nullptr) return failure("cannot make a key: " + openssl_error());
    const Owned<BIO> writer(BIO_new(BIO_s_secmem()));
    if (PEM_write_bio_PKCS8PrivateKey(writer.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
        return failure("cannot write the key: " + openssl_error());
    }
    char* octets = nullptr;
    const long size = BIO_get_mem_data(writer.get(), &octets);
    Secret pem(std::string_view(octets, static_cast<std::size_t>(size)));
    return NewKey{std::make_shared<OpensslSigningKey>(std::move(key)), std::move(pem)};
}

}  // namespace postfleet::crypto
