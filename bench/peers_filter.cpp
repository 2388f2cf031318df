/* hnswlib under filters: recall and time of its graph with its filter functor.
 *
 *     peers_filter BASE.fbin QUERY.fbin LABELS.i32 INDEX TRUTHS QUERIES
 *
 * INDEX is a graph that hnswlib's Python package saved (inner product, float32). Its Python face
 * takes a filter, too, but calls back into Python for each row; this is what a program in C++ gets.
 *
 * Two kinds of filter let SHARES of the rows through. "random": each row by a hash of its number.
 * "cluster": whole clusters out of LABELS, so that for most queries everything near is shut out and
 * for a few nothing is; a walk that only leaves out what it finds does badly here.
 *
 * Truth is an exact scan over the rows let through. All filters share one pass over the rows, and
 * the outcome is kept in the file TRUTHS. One JSON line a point: ef grows by half until
 * recall ENOUGH. */

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <time.h>

#include "hnswlib/hnswlib.h"

static const double SHARES[] = {0.001, 0.01, 0.05, 0.1, 0.2, 0.5};
static const size_t K = 10;
static const size_t MOST_EF = 2000;
static const double ENOUGH = 0.95;  /* recall that ends a sweep */
static const size_t LEAST = 50;     /* queries that are asked however long it takes */
static const double TOO_LONG = 5.0; /* seconds that the passes at one ef may take */
static const int PASSES = 3;

struct Rows {
    uint32_t n = 0, dim = 0;
    std::vector<float> data;

    /* The first `most` rows of a .fbin. */
    explicit Rows(const char *path, size_t most = SIZE_MAX)
    {
        std::ifstream in(path, std::ios::binary);
        uint32_t head[2];
        if (!in.read(reinterpret_cast<char *>(head), sizeof head))
            throw std::runtime_error(std::string(path) + " cannot be read");
        n = static_cast<uint32_t>(std::min<size_t>(head[0], most));
        dim = head[1];
        data.resize(static_cast<size_t>(n) * dim);
        if (!in.read(reinterpret_cast<char *>(data.data()),
                     static_cast<std::streamsize>(data.size() * sizeof(float))))
            throw std::runtime_error(std::string(path) + " is cut");
    }

    const float *row(size_t i) const
    {
        return data.data() + i * dim;
    }
};

struct Filter : hnswlib::BaseFilterFunctor {
    std::string kind;
    double share;
    std::vector<uint8_t> lets;   /* [rows] */
    std::vector<uint32_t> truth; /* [queries][K] */

    bool operator()(hnswlib::labeltype id) override
    {
        return lets[id] != 0;
    }
};

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static Filter random_filter(uint32_t rows, double share)
{
    Filter f;
    f.kind = "random";
    f.share = share;
    f.lets.resize(rows);
    for (uint32_t i = 0; i < rows; i++)
        f.lets[i] = static_cast<double>(mix(i) >> 32) < share * 4294967296.0;
    return f;
}

/* Clusters in a random order, each taken if it does not go over the share. */
static Filter cluster_filter(const std::vector<int32_t> &labels, double share)
{
    std::vector<uint32_t> size(
        static_cast<size_t>(*std::max_element(labels.begin(), labels.end())) + 1);
    for (int32_t label : labels)
        size[static_cast<size_t>(label)]++;
    std::vector<uint32_t> order(size.size());
    for (uint32_t i = 0; i < order.size(); i++)
        order[i] = i;
    std::sort(order.begin(), order.end(), [](uint32_t a, uint32_t b) { return mix(a) < mix(b); });

    std::vector<uint8_t> taken(size.size());
    double room = share * static_cast<double>(labels.size());
    for (uint32_t cluster : order) {
        if (size[cluster] <= room) {
            taken[cluster] = 1;
            room -= size[cluster];
        }
    }
    Filter f;
    f.kind = "cluster";
    f.share = share;
    f.lets.resize(labels.size());
    for (size_t i = 0; i < labels.size(); i++)
        f.lets[i] = taken[static_cast<size_t>(labels[i])];
    return f;
}

static std::vector<int32_t> read_labels(const char *path, uint32_t rows)
{
    std::ifstream in(path, std::ios::binary);
    std::vector<int32_t> labels(rows);
    in.seekg(8);
    if (!in.read(reinterpret_cast<char *>(labels.data()), static_cast<std::streamsize>(rows) * 4))
        throw std::runtime_error(std::string(path) + " has fewer labels than there are rows");
    return labels;
}

struct Near {
    float score;
    uint32_t id;
};

/* Keep `near`, sorted from best to worst, at K entries. */
static void offer(std::vector<Near> &near, Near candidate)
{
    if (near.size() == K && candidate.score <= near.back().score)
        return;
    auto worse = [](const Near &a, const Near &b) { return a.score > b.score; };
    near.insert(std::upper_bound(near.begin(), near.end(), candidate, worse), candidate);
    if (near.size() > K)
        near.pop_back();
}

/* Fill each filter's truth. Rows are taken in blocks that stay in the cache for all queries. */
static void scan(const Rows &base, const Rows &queries, std::vector<Filter> &filters)
{
    const size_t block = 64;
    std::vector<std::vector<Near>> near(filters.size() * queries.n);
    hnswlib::InnerProductSpace space(base.dim);
    auto distance = space.get_dist_func();
    for (size_t from = 0; from < base.n; from += block) {
        size_t to = std::min<size_t>(base.n, from + block);
        for (size_t q = 0; q < queries.n; q++) {
            for (size_t i = from; i < to; i++) {
                float score = -distance(queries.row(q), base.row(i), space.get_dist_func_param());
                for (size_t f = 0; f < filters.size(); f++)
                    if (filters[f].lets[i])
                        offer(near[f * queries.n + q], {score, static_cast<uint32_t>(i)});
            }
        }
    }
    for (size_t f = 0; f < filters.size(); f++) {
        filters[f].truth.assign(queries.n * K, UINT32_MAX);
        for (size_t q = 0; q < queries.n; q++) {
            const std::vector<Near> &found = near[f * queries.n + q];
            for (size_t k = 0; k < found.size(); k++)
                filters[f].truth[q * K + k] = found[k].id;
        }
    }
}

/* Truth of all filters one after another, without a head; a file of another size is made anew. */
static void truths(const char *path, const char *base_path, const Rows &queries,
                   std::vector<Filter> &filters)
{
    size_t each = queries.n * K;
    std::vector<uint32_t> all(each * filters.size() + 1);
    std::ifstream in(path, std::ios::binary);
    in.read(reinterpret_cast<char *>(all.data()), static_cast<std::streamsize>(all.size() * 4));
    if (static_cast<size_t>(in.gcount()) == each * filters.size() * 4) {
        for (size_t f = 0; f < filters.size(); f++)
            filters[f].truth.assign(all.begin() + static_cast<long>(f * each),
                                    all.begin() + static_cast<long>((f + 1) * each));
        return;
    }
    std::fprintf(stderr, "scanning all rows for the truth under each filter\n");
    scan(Rows(base_path), queries, filters);
    std::ofstream out(path, std::ios::binary);
    for (const Filter &filter : filters)
        out.write(reinterpret_cast<const char *>(filter.truth.data()),
                  static_cast<std::streamsize>(each * 4));
    if (!out)
        throw std::runtime_error(std::string(path) + " cannot be written");
}

struct Pass {
    size_t asked = 0;
    double seconds = 0, recall = 0;
    std::vector<double> us; /* [queries] */
};

/* Microseconds of the processor's time in this thread: other work on the machine stays out of it.
 */
static double now_us()
{
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

/* Ask every query once; pass->us[q] becomes the least that query q has taken so far. When that
 * takes too long it ends before all are asked, and only those count from then on. */
static void ask(const hnswlib::HierarchicalNSW<float> &graph, const Rows &queries, Filter &filter,
                Pass *pass)
{
    size_t hits = 0, wanted = 0;
    pass->seconds = 0;
    for (size_t q = 0; q < pass->asked; q++) {
        double start = now_us();
        auto found = graph.searchKnn(queries.row(q), K, &filter);
        double us = now_us() - start;
        pass->us[q] = std::min(pass->us[q], us);
        pass->seconds += us / 1e6;
        auto truth = filter.truth.begin() + static_cast<long>(q * K);
        wanted += static_cast<size_t>(
            std::count_if(truth, truth + K, [](uint32_t id) { return id != UINT32_MAX; }));
        for (; !found.empty(); found.pop())
            hits += std::find(truth, truth + K, found.top().second) != truth + K;
        if (pass->seconds > TOO_LONG && q >= LEAST)
            pass->asked = q + 1;
    }
    pass->recall = wanted ? static_cast<double>(hits) / static_cast<double>(wanted) : 1.0;
}

static void sweep(hnswlib::HierarchicalNSW<float> &graph, const Rows &queries, Filter &filter)
{
    double held = static_cast<double>(std::count(filter.lets.begin(), filter.lets.end(), 1));
    for (size_t ef = K; ef <= MOST_EF; ef += ef / 2) {
        graph.setEf(ef);
        Pass pass;
        pass.asked = queries.n;
        pass.us.assign(queries.n, 1e18);
        ask(graph, queries, filter, &pass);
        double left = TOO_LONG - pass.seconds;
        for (int more = 1; more < PASSES && left > pass.seconds; more++) {
            ask(graph, queries, filter, &pass);
            left -= pass.seconds;
        }
        pass.us.resize(pass.asked);
        std::sort(pass.us.begin(), pass.us.end());
        double sum = std::accumulate(pass.us.begin(), pass.us.end(), 0.0) / 1e6;
        std::printf("{\"kind\": \"filter\", \"index\": \"hnswlib\", \"filter\": \"%s\", "
                    "\"share\": %g, \"lets\": %.5f, \"params\": {\"ef\": %zu}, \"recall\": %.4f, "
                    "\"qps\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"queries\": %zu}\n",
                    filter.kind.c_str(), filter.share,
                    held / static_cast<double>(filter.lets.size()), ef, pass.recall,
                    static_cast<double>(pass.asked) / sum, pass.us[pass.asked / 2],
                    pass.us[pass.asked * 99 / 100], pass.asked);
        std::fflush(stdout);
        if (pass.recall >= ENOUGH)
            return;
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        std::fprintf(stderr, "use: peers_filter BASE QUERY LABELS INDEX TRUTHS QUERIES\n");
        return 2;
    }
    try {
        Rows queries(argv[2], std::strtoul(argv[6], nullptr, 10));
        hnswlib::InnerProductSpace space(queries.dim);
        hnswlib::HierarchicalNSW<float> graph(&space, argv[4]);
        uint32_t rows = static_cast<uint32_t>(graph.getCurrentElementCount());
        std::vector<int32_t> labels = read_labels(argv[3], rows);
        std::vector<Filter> filters;
        for (double share : SHARES) {
            filters.push_back(random_filter(rows, share));
            filters.push_back(cluster_filter(labels, share));
        }
        truths(argv[5], argv[1], queries, filters);
        for (Filter &filter : filters)
            sweep(graph, queries, filter);
    } catch (const std::exception &why) {
        std::fprintf(stderr, "%s\n", why.what());
        return 1;
    }
    return 0;
}
