// Context: libunbound behind the few calls that are needed. Threads: confined, except that libunbound works
// in a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lookup.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/dns/unbound_resolver.hpp"

struct ub_ctx;
struct ub_result;

namespace postfleet::dns {

class Context {
public:
    static Result<Context> create(const Options& options);

    int descriptor() const;  // readable when process() has something to do
    Status process();        // runs callbacks
    // `callback` gets `argument`, a libunbound error and a result that it owns; see ub_resolve_async().
    using Callback = void (*)(void* argument, int error, ub_result* result);
    Result<int> ask(const Question& question, void* argument, Callback callback);
    void cancel(int query);  // its callback will not run

    static Records to_records(int error, ub_result* result);  // frees it

private:
    struct Delete {
        void operator()(ub_ctx* context) const;
    };
    explicit Context(std::unique_ptr<ub_ctx, Delete> context) : context_(std::move(context)) {}
    std::unique_ptr<ub_ctx, Delete> context_;
};

}  // namespace postfleet::dns
