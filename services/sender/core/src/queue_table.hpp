// QueueTable, VirtualMtaTable: the queues by site and virtual MTA, and the virtual MTAs by name.
//
// Threads: thread-safe. References to a VirtualMta stay valid; queues are shared_ptr (queue.hpp says why).
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "postfleet/config/config.hpp"
#include "queue.hpp"
#include "virtual_mta.hpp"

namespace postfleet::sender {

class QueueTable final {
public:
    explicit QueueTable(Engine& engine) : engine_(engine) {}

    std::shared_ptr<Queue> find_or_make(std::string_view site, std::string_view virtual_mta);
    std::shared_ptr<Queue> find(std::string_view site, std::string_view virtual_mta) const;  // null: there is none
    std::vector<std::shared_ptr<Queue>> of_site(const std::string& site) const;
    std::vector<std::shared_ptr<Queue>> all() const;
    std::size_t size() const;
    // Removes the queues that nobody needs any more.
    void forget_abandoned(SteadyTime now);

    std::shared_ptr<VirtualMta> virtual_mta(std::string_view name);
    std::vector<std::shared_ptr<VirtualMta>> virtual_mtas() const;
    void configure(const std::shared_ptr<const config::Config>& config);
    // As the orders in force say, queue by queue.
    void apply_pauses();

private:
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    template <class Value>
    using ByName = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

    void apply_pause(Queue& queue) const;
    std::shared_ptr<VirtualMta> virtual_mta_locked(std::string_view name);

    Engine& engine_;
    mutable std::mutex mutex_;
    ByName<std::vector<std::shared_ptr<Queue>>> sites_;
    ByName<std::shared_ptr<VirtualMta>> virtual_mtas_;
    std::size_t size_ = 0;
};

}  // namespace postfleet::sender
