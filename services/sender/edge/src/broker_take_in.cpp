#include "postfleet/sender_edge/broker_take_in.hpp"

#include <utility>

#include "broker_take_in_work.hpp"

namespace postfleet::sender {

BrokerTakeIn::BrokerTakeIn(BrokerTakeInPorts ports, std::string sender, config::TakeIn settings)
    : work_(std::make_shared<Work>(std::move(ports), std::move(sender), settings)) {}

BrokerTakeIn::~BrokerTakeIn() = default;

void BrokerTakeIn::start() { work_->start(); }
void BrokerTakeIn::reload(config::TakeIn settings) { work_->reload(settings); }
void BrokerTakeIn::stop(Completion<Status> done) { work_->stop(std::move(done)); }
std::string BrokerTakeIn::obstacle() const { return work_->obstacle(); }

}  // namespace postfleet::sender
