// RecipientsStream: Router.CheckRecipients: questions come in batches, and the answers go back in their order.
#pragma once

#include <grpcpp/support/server_callback.h>

#include "postfleet/ports/state_store.hpp"
#include "postfleet/v1/control.pb.h"

namespace postfleet::rpc {

using RecipientsReactor = grpc::ServerBidiReactor<v1::CheckRecipientsRequest, v1::CheckRecipientsResponse>;

// Deletes itself when gRPC is done with it.
RecipientsReactor* check_recipients(Suppressions& suppressions, Executor& executor, int most_in_request);

}  // namespace postfleet::rpc
