#include "postfleet/base/function.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <memory>
#include <string>
#include <vector>

using postfleet::Callback;
using postfleet::UniqueFunction;

namespace {

// Counts how many of it are alive; `Padding` decides whether it is stored inline.
template <std::size_t Padding>
struct Counted {
    explicit Counted(int& count) : alive(&count) { ++*alive; }
    Counted(Counted&& other) noexcept : alive(other.alive) { ++*alive; }
    ~Counted() { --*alive; }
    int operator()(int x) const { return x + 1; }
    int* alive;
    std::array<char, Padding> padding{};
};

struct ThrowingMove {
    ThrowingMove() = default;
    ThrowingMove(ThrowingMove&&) noexcept(false) {}
    int operator()() const { return 7; }
};

}  // namespace

TEMPLATE_TEST_CASE("a callable is destroyed exactly once, however it moves", "", Counted<1>, Counted<200>) {
    int alive = 0;
    {
        UniqueFunction<int(int)> a(TestType{alive});
        CHECK(alive == 1);
        UniqueFunction<int(int)> b(std::move(a));
        CHECK(alive == 1);
        CHECK_FALSE(a);
        CHECK(b(1) == 2);
        a = std::move(b);
        CHECK(alive == 1);
        CHECK(a(2) == 3);
        a = UniqueFunction<int(int)>(TestType{alive});
        CHECK(alive == 1);
        auto& itself = a;
        a = std::move(itself);
        CHECK(alive == 1);
        CHECK(a(3) == 4);
        a.reset();
        CHECK(alive == 0);
        a.reset();
        std::vector<UniqueFunction<int(int)>> many;
        for (int i = 0; i < 20; ++i) many.emplace_back(TestType{alive});  // moves them when it grows
        CHECK(alive == 20);
        many.erase(many.begin() + 3);
        CHECK(alive == 19);
    }
    CHECK(alive == 0);
}

TEST_CASE("a callable that may throw while it moves is kept on the heap and moves by pointer") {
    UniqueFunction<int()> f{ThrowingMove()};
    UniqueFunction<int()> g = std::move(f);
    CHECK(g() == 7);
}

TEST_CASE("a function owns what cannot be copied, and passes its arguments on") {
    auto owned = std::make_unique<int>(41);
    UniqueFunction<std::unique_ptr<int>(std::unique_ptr<int>)> f = [owned =
                                                                        std::move(owned)](std::unique_ptr<int> other) {
        *other += *owned;
        return other;
    };
    CHECK(*f(std::make_unique<int>(1)) == 42);
    std::string text = "a";
    UniqueFunction<void(std::string&)> append = [](std::string& to) { to += "b"; };
    append(text);
    CHECK(text == "ab");
}

TEST_CASE("state inside a callable lasts from call to call") {
    UniqueFunction<int()> count = [n = 0]() mutable { return ++n; };
    CHECK(count() == 1);
    CHECK(count() == 2);
}

TEST_CASE("an empty function is false") {
    Callback none;
    Callback null = nullptr;
    CHECK_FALSE(none);
    CHECK_FALSE(null);
    CHECK(Callback([] {}));
}
