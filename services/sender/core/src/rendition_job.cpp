#include "rendition_job.hpp"

#include <utility>

#include "postfleet/merge/merger.hpp"
#include "postfleet/mime/seven_bit.hpp"
#include "postfleet/mime/short_lines.hpp"

namespace postfleet::sender {

namespace {

// RFC 3463 §3.8: a cryptographic failure; RFC 6152 §3: conversion required but not supported.
constexpr EnhancedStatus kSigningFailed{4, 7, 5};
constexpr EnhancedStatus kCannotConvert{5, 6, 3};
constexpr EnhancedStatus kHeaderTooLarge{5, 6, 0};

bool has_leading_dot(std::string_view content) {
    return content.starts_with('.') || content.find("\n.") != std::string_view::npos;
}

}  // namespace

RenditionJob::RenditionJob(RenditionOrder order, std::shared_ptr<const SigningSetup> signing)
    : order_(std::move(order)), signing_(std::move(signing)) {}

void RenditionJob::take(std::string_view chunk) {
    ++chunks_;
    if (is_rewritten()) {
        if (order_.message->content_chunks == 1) return rewrite(chunk);
        gathered_.reserve(order_.message->size_octets);
        gathered_ += chunk;
        return is_whole() ? rewrite(gathered_) : void();
    }
    if (chunks_ > 1) {
        signer_->add_body(chunk);
    } else if (!begin_signing(chunk)) {
        return;
    }
    if (is_whole()) finish();
}

void RenditionJob::rewrite(std::string_view content) {
    std::string text;
    if (order_.merge) {
        Result<std::string> merged = merge::Merger(*order_.merge->message, order_.merge->recipient).merge(content);
        if (!merged) return fail(merged.error().text);
        content = text = std::move(*merged);
    }
    if (order_.form.short_lines && mime::has_long_line(content)) {
        Result<std::string> shortened = mime::to_short_lines(content);
        if (!shortened) {
            return refuse(kCannotConvert,
                          "a line has more than 998 octets, and this cannot be repaired: " + shortened.error().text);
        }
        content = text = std::move(*shortened);
    }
    if (order_.form.seven_bit) {
        Result<std::string> converted = mime::to_seven_bit(content);
        if (!converted) {
            return refuse(kCannotConvert,
                          "the server takes 7-bit mail only, and this cannot be converted: " + converted.error().text);
        }
        text = std::move(*converted);
    }
    rewritten_ = std::make_shared<const std::string>(std::move(text));
    gathered_ = {};
    if (order_.form.is_signed && !begin_signing(*rewritten_)) return;
    finish();
}

bool RenditionJob::begin_signing(std::string_view content) {
    mime::HeaderReader reader(content);
    while (reader.next()) {
    }
    if (reader.is_cut_off() && !is_whole()) {
        refuse(kHeaderTooLarge, "the header is too large to be signed");
        return false;
    }
    signer_.emplace(signing_, *order_.message, order_.now);
    const Result<bool> wanted = signer_->begin(content.substr(0, reader.end()));
    if (!wanted) {
        refuse(kSigningFailed, wanted.error().text);
        return false;
    }
    if (!*wanted) {
        signer_.reset();
        finish();
        return false;
    }
    signer_->add_body(content.substr(std::min(content.size(), reader.end() + (reader.is_closed() ? 2 : 0))));
    return true;
}

void RenditionJob::finish() {
    if (!signer_ && !rewritten_) {
        outcome_.emplace();  // it goes out as it is stored
        return;
    }
    const Message& message = *order_.message;
    auto made = std::make_shared<Rendition>();
    made->header = message.prepended_header;
    if (signer_) {
        Result<std::string> header = signer_->finish();
        if (!header) return refuse(kSigningFailed, header.error().text);
        made->header = std::move(*header);
        made->signed_at = order_.now;
        made->renew_at = signer_->renew_at();
    }
    made->content = rewritten_;
    made->body_type = order_.form.seven_bit ? BodyType::SevenBit : message.body_type;
    made->has_leading_dots = rewritten_ ? has_leading_dot(*rewritten_) : message.has_leading_dots;
    made->size_octets = made->header.size() + (rewritten_ ? rewritten_->size() : message.size_octets);
    outcome_ = RenditionOutcome{.rendition = std::move(made)};
}

void RenditionJob::refuse(EnhancedStatus status, std::string text) {
    outcome_ = RenditionOutcome{.kind = RenditionOutcome::Kind::Refused, .reply = Reply{0, status, std::move(text)}};
}

void RenditionJob::fail(std::string reason) {
    outcome_ = RenditionOutcome{.kind = RenditionOutcome::Kind::Failed, .reply = Reply{0, {}, std::move(reason)}};
}

}  // namespace postfleet::sender
