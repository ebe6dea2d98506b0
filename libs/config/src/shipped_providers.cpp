#include "postfleet/config/shipped_providers.hpp"

#include <initializer_list>

namespace postfleet::config {

namespace {

struct Row {
    const char* name;
    std::initializer_list<const char*> mx;
};

// Mailbox providers first, then hosting, then services that filter mail for others. A name here is what people call
// the service; what counts is who answers the SMTP connection and keeps the reputation.
const Row kRows[] = {
    {"google", {"*.google.com", "*.googlemail.com"}},
    {"outlook", {"*.olc.protection.outlook.com"}},  // outlook.com, hotmail, live, msn
    {"microsoft365", {"*.mail.protection.outlook.com", "*.mx.microsoft"}},
    {"yahoo", {"*.yahoodns.net"}},  // with AOL and others that it hosts
    {"icloud", {"*.mail.icloud.com"}},
    {"comcast", {"*.comcast.net"}},
    {"att", {"*.prodigy.net"}},
    {"cloudfilter", {"*.cloudfilter.net"}},  // Cox and other American access providers
    {"gmx", {"*.gmx.net", "*.web.de"}},
    {"ionos", {"*.kundenserver.de", "*.ionos.com", "*.ionos.de", "*.1and1.com"}},
    {"t-online", {"*.t-online.de"}},
    {"orange", {"*.orange.fr"}},
    {"free", {"*.free.fr"}},
    {"laposte", {"*.laposte.net"}},
    {"sfr", {"*.sfr.fr"}},
    {"libero", {"*.libero.it", "*.virgilio.it"}},
    {"mailru", {"*.mail.ru"}},
    {"yandex", {"*.yandex.ru", "*.yandex.net"}},
    {"seznam", {"*.seznam.cz"}},
    {"wp", {"*.wp.pl"}},
    {"onet", {"*.onet.pl"}},
    {"proton", {"*.protonmail.ch"}},
    {"zoho", {"*.zoho.com", "*.zoho.eu", "*.zoho.in"}},
    {"fastmail", {"*.messagingengine.com"}},
    {"qq", {"*.qq.com"}},
    {"netease", {"*.netease.com"}},
    {"naver", {"*.naver.com"}},
    {"uol", {"*.uol.com.br"}},
    {"ovh", {"*.mail.ovh.net"}},
    {"godaddy", {"*.secureserver.net"}},
    {"rackspace", {"*.emailsrvr.com"}},
    {"mimecast", {"*.mimecast.com"}},
    {"proofpoint", {"*.pphosted.com", "*.ppe-hosted.com"}},
    {"cisco", {"*.iphmx.com"}},
    {"barracuda", {"*.barracudanetworks.com"}},
    {"messagelabs", {"*.messagelabs.com"}},
    {"trendmicro", {"*.trendmicro.com", "*.trendmicro.eu"}},
    {"spamexperts", {"*.antispamcloud.com"}},
    {"hornetsecurity", {"*.hornetsecurity.com"}},
};

}  // namespace

const std::map<std::string, Provider>& shipped_providers() {
    static const auto providers = [] {
        std::map<std::string, Provider> made;
        for (const Row& row : kRows) {
            Provider& provider = made[row.name];
            provider.name = row.name;
            provider.mx.assign(row.mx.begin(), row.mx.end());
        }
        return made;
    }();
    return providers;
}

}  // namespace postfleet::config
