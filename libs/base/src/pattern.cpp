#include "postfleet/base/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <fmt/format.h>

#include "postfleet/base/text.hpp"

namespace postfleet {
namespace {

// A stack for the JIT code, per thread: the machine stack (32 KiB of it) is too small for some patterns.
constexpr std::size_t kJitStackOctets = 512 * 1024;

struct FreeMatchContext {
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeMatchData {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeJitStack {
    void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};

// What a match writes to. One pair of offsets is enough: only whether it matches is asked.
struct Scratch {
    std::unique_ptr<pcre2_match_data, FreeMatchData> data{pcre2_match_data_create(1, nullptr)};
    std::unique_ptr<pcre2_match_context, FreeMatchContext> context{pcre2_match_context_create(nullptr)};
    std::unique_ptr<pcre2_jit_stack, FreeJitStack> stack{pcre2_jit_stack_create(32 * 1024, kJitStackOctets, nullptr)};

    Scratch() {
        require(data != nullptr && context != nullptr && stack != nullptr);
        pcre2_set_match_limit(context.get(), Pattern::kMatchLimit);
        pcre2_set_depth_limit(context.get(), Pattern::kMatchLimit);
        pcre2_set_heap_limit(context.get(), Pattern::kHeapLimitKibibytes);
        pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    }
};

Scratch& scratch() {
    thread_local Scratch own;
    return own;
}

std::string describe(int error) {
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(error, text, sizeof text);
    return reinterpret_cast<const char*>(text);
}

}  // namespace

void Pattern::FreeCode::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

Result<Pattern> Pattern::compile(std::string_view text, Case letters) {
    if (text.size() > kMaxTextOctets) {
        return Error{ErrorKind::InvalidArgument, fmt::format("pattern is longer than {} octets", kMaxTextOctets)};
    }
    // \C could stop in the middle of a character, and named verbs could lift the limits.
    std::uint32_t options = PCRE2_NEVER_BACKSLASH_C;
    if (letters == Case::Ignore) options |= PCRE2_CASELESS;
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* const code =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), options, &error, &offset, nullptr);
    if (code == nullptr) {
        return Error{ErrorKind::InvalidArgument, fmt::format("pattern \"{}\", character {}: {}", printable(text, 128),
                                                             offset + 1, describe(error))};
    }
    Pattern pattern;
    pattern.code_.reset(code);
    pattern.text_ = text;
    // Without JIT (no executable memory allowed) the interpreter does the same, slower.
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    return pattern;
}

Pattern::Match Pattern::find_in(std::string_view subject) const {
    std::uint32_t options = 0;
    if (subject.size() > kMaxSubjectOctets) {
        subject = subject.substr(0, kMaxSubjectOctets);
        options = PCRE2_NOTEOL;  // "$" is not where we stop looking
    }
    Scratch& own = scratch();
    const int result = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(), 0,
                                   options, own.data.get(), own.context.get());
    if (result >= 0) return Match::Yes;
    return result == PCRE2_ERROR_NOMATCH ? Match::No : Match::GaveUp;
}

}  // namespace postfleet
