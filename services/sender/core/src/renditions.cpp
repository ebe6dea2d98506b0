#include "renditions.hpp"

#include <utility>

#include "postfleet/mime/seven_bit.hpp"

namespace postfleet::sender {

namespace {

RenditionOutcome refused(std::uint8_t klass, std::uint8_t subject, std::uint8_t detail, std::string text) {
    return {.kind = RenditionOutcome::Kind::Refused, .reply = Reply{0, {klass, subject, detail}, std::move(text)}};
}

bool has_leading_dot(std::string_view content) {
    return content.starts_with('.') || content.find("\n.") != std::string_view::npos;
}

}  // namespace

struct Renditions::Shared {
    RenditionCache cache{kMemory};
    std::atomic<std::uint64_t> working{0};  // octets
};

struct Renditions::Job {
    Job(std::shared_ptr<Shared> all, Order&& its_order, Executor& executor)
        : shared(std::move(all)), order(std::move(its_order)), on(executor) {}
    ~Job() { shared->working.fetch_sub(charged); }

    RenditionKey key() const { return {order.message->id, order.form}; }
    void settle(const RenditionOutcome& outcome) { shared->cache.settle(key(), outcome); }

    bool charge() {
        const std::uint64_t octets = order.message->size_octets;
        const std::uint64_t before = shared->working.fetch_add(octets);
        charged = octets;
        return before == 0 || before + octets <= kMaxWorking;
    }

    std::string_view content() const { return whole.empty() ? std::string_view(*order.first_chunk) : whole; }

    // On a thread of the Workers.
    RenditionOutcome render() const;

    const std::shared_ptr<Shared> shared;
    const Order order;
    Executor& on;
    std::string whole;  // of content in several chunks
    std::uint32_t chunks_read = 1;
    std::uint64_t charged = 0;
};

RenditionOutcome Renditions::Job::render() const {
    const Message& message = *order.message;
    auto made = std::make_shared<Rendition>();
    made->header = message.prepended_header;
    Result<std::string> converted = mime::to_seven_bit(content());
    if (!converted) {
        return refused(5, 6, 3,
                       "the server takes 7-bit mail only, and this cannot be converted: " + converted.error().text);
    }
    made->content = std::make_shared<const std::string>(std::move(*converted));
    made->has_leading_dots = has_leading_dot(*made->content);
    made->size_octets = made->header.size() + made->content->size();
    return {.rendition = std::move(made)};
}

Renditions::Renditions(Spool& spool, Workers& workers)
    : spool_(spool), workers_(workers), shared_(std::make_shared<Shared>()) {}

void Renditions::make(Order&& order, Completion<RenditionOutcome> done) {
    Executor& on = *done.on;
    auto job = std::make_unique<Job>(shared_, std::move(order), on);
    if (!shared_->cache.join(job->key(), std::move(done))) return;
    if (!job->charge()) return job->settle({.kind = RenditionOutcome::Kind::Busy});
    if (job->order.message->content_chunks == 1) return submit(std::move(job));
    job->whole.reserve(job->order.message->size_octets);
    job->whole = *job->order.first_chunk;
    read_rest(std::move(job));
}

void Renditions::read_rest(std::unique_ptr<Job> job) {
    if (job->chunks_read == job->order.message->content_chunks) return submit(std::move(job));
    const MessageId id = job->order.message->id;
    const std::uint32_t chunk = job->chunks_read++;
    Executor& on = job->on;
    spool_.read_chunk(id, chunk,
                      {&on, [this, job = std::move(job)](Result<SharedOctets> read) mutable {
                           if (!read) {
                               return job->settle({.kind = RenditionOutcome::Kind::Unreadable, .error = read.error()});
                           }
                           job->whole += **read;
                           read_rest(std::move(job));
                       }});
}

void Renditions::submit(std::unique_ptr<Job> job) {
    const Priority priority = job->order.message->priority;
    const RenditionKey key = job->key();
    const bool taken = workers_.submit(priority, [job = std::move(job)] { job->settle(job->render()); });
    if (!taken) shared_->cache.settle(key, {.kind = RenditionOutcome::Kind::Busy});
}

}  // namespace postfleet::sender
