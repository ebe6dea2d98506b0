#include "postfleet/cluster_member/membership.hpp"

#include <filesystem>

#include "postfleet/config_files/load.hpp"

namespace postfleet::cluster_member {

namespace {

// Of an address that listens everywhere, what others can call.
std::string advertised(const std::string& listens, int port) {
    std::string host = listens.substr(0, listens.rfind(':'));
    if (host == "0.0.0.0" || host == "[::]" || host == "*") host = config_files::machine_name();
    return host + ":" + std::to_string(port);
}

}  // namespace

Result<std::unique_ptr<Membership>> Membership::join(const MemberOptions& options, service_host::ServiceHost& host,
                                                     const std::string& service, bool delivers, Duration patience) {
    std::error_code failed;
    std::filesystem::create_directories(options.data_dir, failed);
    if (failed) {
        return Error{ErrorKind::PermissionDenied, "cannot make the directory " + options.data_dir + ": " +
                                                      failed.message() + "; make it, or name another with --data-dir"};
    }
    std::unique_ptr<Membership> member(new Membership(options, host.log()));
    auto loop = net::LoopGroup::create(1);
    if (!loop) return loop.error();
    member->loop_ = *std::move(loop);
    member->loop_->start();
    auto link = rpc::RouterLink::open({.addresses = options.routers,
                                       .tls = options.tls,
                                       .service = service,
                                       .name = options.name,
                                       .directory = options.data_dir,
                                       .executor = (*member->loop_)[0],
                                       .metrics = host.metrics(),
                                       .log = host.log(),
                                       .watches_orders = delivers,
                                       .checks_recipients = delivers});
    if (!link) return link.error();
    member->link_ = *std::move(link);
    const auto first = member->link_->first_snapshot(patience);
    if (!first) return first.error();
    auto loaded = member->load(*first);
    if (!loaded) return loaded.error();
    member->configuration_ = *std::move(loaded);
    member->epoch_ = first->epoch;
    member->link_->on_snapshot([raw = member.get()](const ConfigurationSnapshot& snapshot) {
        const std::lock_guard lock(raw->mutex_);
        raw->news_ = snapshot;
    });
    host.metrics().computed_gauge("postfleet_config_epoch", "Epoch of the configuration in use.", {},
                                  [raw = member.get()] { return static_cast<double>(raw->epoch()); });
    return member;
}

Membership::~Membership() {
    stop_answering();
    link_.reset();
    if (loop_) {
        loop_->stop();
        loop_->join();
    }
}

Status Membership::answer_operators(rpc::CommandService service, rpc::CommandHandler handler) {
    auto server = rpc::CommandServer::start(
        {.address = control_, .tls = tls_, .service = service, .handler = std::move(handler), .log = log_});
    if (!server) return Error{server.error().kind, "--control: " + server.error().text};
    operators_ = *std::move(server);
    operators_at_ = advertise_.empty() ? advertised(control_, operators_->port()) : advertise_;
    link_->announce(operators_at_);
    return {};
}

void Membership::stop_answering() {
    if (operators_) operators_->stop();
}

Result<ConfigPointer> Membership::load(const ConfigurationSnapshot& snapshot) {
    const config::LoadResult loaded = config_files::load_files(snapshot.files, files_);
    if (loaded.config) return loaded.config;
    std::string text = "the configuration of the router cannot be used here:";
    for (const config::Problem& problem : loaded.problems) text += "\n  " + problem.to_string();
    return Error{ErrorKind::InvalidArgument, std::move(text)};
}

void Membership::apply_new(const std::function<Status(const ConfigPointer&)>& apply) {
    std::optional<ConfigurationSnapshot> news;
    {
        const std::lock_guard lock(mutex_);
        news.swap(news_);
    }
    if (!news) return;
    log_.line(LogLevel::Info, "configuration-received").field("epoch", news->epoch).field("version", news->version);
    auto loaded = load(*news);
    const Status applied = loaded ? apply(*loaded) : Status(loaded.error());
    if (!applied) {
        log_.line(LogLevel::Error, "configuration-refused")
            .field("problem", applied.error().text)
            .field("then", "what was active stays");
        return;
    }
    configuration_ = *std::move(loaded);
    epoch_ = news->epoch;
    log_.line(LogLevel::Info, "configuration-applied").field("epoch", news->epoch);
}

}  // namespace postfleet::cluster_member
