#include "certificate.hpp"

#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <span>

#include "postfleet/base/text.hpp"

namespace postfleet::tls {

namespace {

std::string name_text(const X509_NAME* name) {
    const BioPointer text(BIO_new(BIO_s_mem()));
    if (text == nullptr || X509_NAME_print_ex(text.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0)
        return {};
    const char* octets = nullptr;
    const long size = BIO_get_mem_data(text.get(), &octets);
    return printable({octets, static_cast<std::size_t>(size)}, 1024);
}

// Empty if there is a NUL in it: to C code it would look like another name.
std::string octets_of(const ASN1_STRING* text) {
    const std::string_view octets(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                  static_cast<std::size_t>(ASN1_STRING_length(text)));
    if (octets.find('\0') != std::string_view::npos) return {};
    return std::string(octets);
}

std::string common_name_of(const X509_NAME* name) {
    int at = -1;
    for (int next = -1; (next = X509_NAME_get_index_by_NID(name, NID_commonName, next)) >= 0;) at = next;
    if (at < 0) return {};
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size < 0) return {};
    const std::string found(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
    OPENSSL_free(utf8);
    return found.find('\0') == std::string::npos ? found : std::string();
}

void add_alternative_names(const X509* certificate, CertificateFacts& facts) {
    auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    if (names == nullptr) return;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        int type = 0;
        const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type != GEN_DNS && type != GEN_EMAIL) continue;
        std::string text = octets_of(static_cast<const ASN1_STRING*>(value));
        if (text.empty()) continue;
        if (type == GEN_DNS) {
            facts.dns_names.push_back(to_ascii_lower(text));
        } else {
            facts.email_addresses.push_back(std::move(text));
        }
    }
    GENERAL_NAMES_free(names);
}

std::string fingerprint_of(const X509* certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
    std::string text;
    for (const unsigned char octet : std::span(digest).first(size)) text += fmt::format("{:02x}", octet);
    return text;
}

}  // namespace

WallTime to_wall_time(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
    return WallTime(std::chrono::seconds(::timegm(&parts)));
}

CertificateFacts facts_of(const X509* certificate) {
    CertificateFacts facts;
    facts.subject = name_text(X509_get_subject_name(certificate));
    facts.issuer = name_text(X509_get_issuer_name(certificate));
    facts.common_name = common_name_of(X509_get_subject_name(certificate));
    add_alternative_names(certificate, facts);
    facts.fingerprint_sha256 = fingerprint_of(certificate);
    facts.not_before = to_wall_time(X509_get0_notBefore(certificate));
    facts.not_after = to_wall_time(X509_get0_notAfter(certificate));
    return facts;
}

}  // namespace postfleet::tls
