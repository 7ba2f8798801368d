#include "engine/tile_run.h"

#include <algorithm>
#include <string>

#include "base/not_finite.h"
#include "kernels/kernels.h"

namespace genfast {
int64_t elements(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

TileRun::TileRun(std::shared_ptr<Prepared> ready, const Call& call, int64_t begin, int64_t rows, int64_t capacity)
    : ready_(ready),
      call_(call),
      options_(*call.options),
      graph_(*call.graph),
      begin_(begin),
      rows_(rows),
      copies_(call.guided ? 2 : 1),
      tile_rows_(rows * copies_),
      work_(std::move(ready), capacity * copies_) {
  const size_t sites = static_cast<size_t>(graph_.sites()), size = sites * static_cast<size_t>(tile_rows_);
  Workspace& work = *work_;
  Tile& tile = work.tile;
  tile = Tile();
  tile.rows = tile_rows_;
  tile.threads = call.tile_threads;
  tile.temperature = options_.temperature;
  tile.filters = {options_.top_k, options_.top_p, options_.min_p};
  tile.guidance = call.guided ? options_.guidance : 1;
  tile.watched = call.streams || !options_.stop.empty();
  if (graph_.head.has_levels()) {
    work.levels.resize(size);
    tile.levels = work.levels.data();
  } else {
    work.x.resize(size);
    tile.x = work.x.data();
  }
  step_of_.assign(sites, -1);
  const std::vector<Step>& steps = ready_->plan().steps;
  for (size_t i = 0; i < steps.size(); ++i)
    for (const int32_t site : steps[i].sites) step_of_[static_cast<size_t>(site)] = static_cast<int32_t>(i);

  place_conditions();
  place_given();
  if (call.draws()) place_uniforms();
  if (call.log_prob) {
    work.log_prob.assign(size, 0.0);
    tile.log_prob = work.log_prob.data();
  }
  if (call.lower) {
    // A site without a distribution takes its level whatever u is.
    work.lower.assign(size, 0.0);
    work.upper.assign(size, 1.0);
    tile.lower = work.lower.data();
    tile.upper = work.upper.data();
  }
  if (call.logits) {
    const Head& head = graph_.head;
    const int64_t places = head.by_position() ? graph_.positions() : graph_.sites();
    tile.logits = call.logits + begin * places * head_channels(head, graph_.channels());
    if (head.table != kDirect) std::fill_n(tile.logits, rows * places * head_channels(head, graph_.channels()), 0.0f);
  }
  if (call.output) tile.output = call.output + begin * elements(graph_.output.shape);
  work.decoder->begin(tile, begin);
  advance();
}

void TileRun::place_conditions() {
  Workspace& work = *work_;
  work.conditions.resize(call_.guided ? call_.conditions.size() : 0);
  for (size_t i = 0; i < call_.conditions.size(); ++i) {
    const int64_t per_row = elements(graph_.conditions[i].shape);
    const float* with = call_.conditions[i] + begin_ * per_row;
    if (!call_.guided) {
      work.tile.conditions.push_back(with);
      continue;
    }
    const float* without = call_.unconditional[i] + begin_ * per_row;
    std::vector<float>& both = work.conditions[i];
    both.resize(static_cast<size_t>(tile_rows_ * per_row));
    for (int64_t r = 0; r < rows_; ++r) {
      std::copy_n(with + r * per_row, per_row, both.data() + 2 * r * per_row);
      std::copy_n(without + r * per_row, per_row, both.data() + (2 * r + 1) * per_row);
    }
    work.tile.conditions.push_back(both.data());
  }
}

void TileRun::set_level(int64_t site, int64_t row, int32_t level, bool fixed) {
  if ((level < 0 || level >= graph_.head.levels) && !(fixed && level == graph_.bos))
    throw ArgumentError("row " + std::to_string(begin_ + row) + ", site " + std::to_string(site) + " has level " +
                        std::to_string(level) + ", outside 0 to " + std::to_string(graph_.head.levels - 1));
  std::fill_n(work_->levels.data() + at(site, row), copies_, level);
}

void TileRun::set_x(int64_t site, int64_t row, float x) {
  if (!(x - x == 0))
    throw ArgumentError("row " + std::to_string(begin_ + row) + ", site " + std::to_string(site) + " is not finite");
  std::fill_n(work_->x.data() + at(site, row), copies_, x);
}

// Of a call that gives them all. Few sites at a time: one side lies row by row, the other site by site.
void TileRun::place_numbers() {
  const int64_t sites = graph_.sites();
  const float* x = call_.x + begin_ * sites;
  if (const int64_t bad = first_not_finite(x, rows_ * sites); bad >= 0) set_x(bad % sites, bad / sites, x[bad]);  // its error
  for (int64_t first = 0; first < sites; first += 16) {
    const int64_t last = std::min(first + 16, sites);
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t copy = 0; copy < copies_; ++copy) {
        float* to = work_->x.data() + at(first, r) + copy;
        for (int64_t site = first; site < last; ++site, to += tile_rows_) *to = x[r * sites + site];
      }
    }
  }
}

void TileRun::place_given() {
  const int64_t sites = graph_.sites();
  const bool has_levels = graph_.head.has_levels();
  row_begin_.assign(static_cast<size_t>(rows_), 0);
  row_end_.assign(static_cast<size_t>(rows_), sites);
  row_last_.assign(static_cast<size_t>(rows_), -1);
  padding_.assign(static_cast<size_t>(rows_), options_.stop.empty() ? 0 : options_.stop[0]);
  if (!call_.draws()) {
    if (!has_levels) {
      place_numbers();
    } else {
      for (int64_t site = 0; site < sites; ++site) {
        const bool fixed = graph_.head_position(site) < 0;
        for (int64_t r = 0; r < rows_; ++r) set_level(site, r, call_.levels[(begin_ + r) * sites + site], fixed);
      }
    }
    end_ = sites;
    return;
  }

  int64_t fixed_ranks = 0;
  while (fixed_ranks < sites && graph_.head_position(graph_.order[static_cast<size_t>(fixed_ranks)]) < 0) ++fixed_ranks;
  for (size_t r = 0; r < static_cast<size_t>(rows_); ++r) {
    row_begin_[r] = std::max(fixed_ranks, options_.prompt ? options_.prompt[begin_ + static_cast<int64_t>(r)] : 0);
    if (options_.max_tokens < sites - row_begin_[r]) row_end_[r] = row_begin_[r] + options_.max_tokens;
  }
  const auto is_fixed = [&](int32_t site) { return graph_.head_position(site) < 0; };
  if (!options_.known && !options_.prompt && std::none_of(graph_.order.begin(), graph_.order.end(), is_fixed)) {
    for (size_t r = 0; r < row_last_.size(); ++r) row_last_[r] = row_end_[r] - 1;
    find_end();
    return;
  }
  std::vector<uint8_t>& given = work_->given;
  given.assign(static_cast<size_t>(sites * tile_rows_), 0);
  bool any = false;
  for (int64_t rank = 0; rank < sites; ++rank) {
    const int64_t site = graph_.order[static_cast<size_t>(rank)];
    const bool fixed = graph_.head_position(site) < 0, known = options_.known && options_.known[site];
    for (int64_t r = 0; r < rows_; ++r) {
      const bool told = known || (options_.prompt && rank < options_.prompt[begin_ + r]);
      if (told || fixed) {
        const int64_t from = (begin_ + r) * sites + site;
        if (!has_levels)
          set_x(site, r, call_.out_f32[from]);
        else
          set_level(site, r,
                    !told          ? static_cast<int32_t>(graph_.bos)
                    : call_.out_u8 ? call_.out_u8[from]
                                   : call_.out_i32[from],
                    fixed);
        std::fill_n(given.data() + at(site, r), copies_, uint8_t{1});
        any = true;
      } else if (rank < row_end_[static_cast<size_t>(r)]) {
        row_last_[static_cast<size_t>(r)] = rank;
      }
    }
  }
  if (any) work_->tile.given = given.data();
  find_end();
}

void TileRun::find_end() {
  end_ = 0;
  for (size_t r = 0; r < row_end_.size(); ++r) end_ = std::max(end_, std::min(row_last_[r] + 1, row_end_[r]));
}

void TileRun::place_uniforms() {
  Workspace& work = *work_;
  if (!options_.u && ready_->counts_uniforms()) {
    work.tile.counted = true;
    work.tile.seed = options_.seed;
    work.tile.first_row = options_.first_row + static_cast<uint64_t>(begin_);
    return;
  }
  const int64_t sites = graph_.sites(), uniforms = call_.uniforms();
  work.u.resize(static_cast<size_t>(sites * tile_rows_));
  work.row.resize(static_cast<size_t>(sites));
  const UniformsFn<double> fill = active_kernels().uniforms_f64;
  for (int64_t r = 0; r < rows_; ++r) {
    const double* from = work.row.data();
    if (options_.u) {
      from = options_.u + (begin_ + r) * uniforms;
      for (int64_t s = 0; s < sites; ++s)
        if (!(from[s] >= 0 && from[s] <= 1))
          throw ArgumentError("u: row " + std::to_string(begin_ + r) + ", site " + std::to_string(s) + " is outside [0, 1]");
    } else {
      fill(work.row.data(), sites, options_.seed, options_.first_row + static_cast<uint64_t>(begin_ + r), 1, 0, sites);
    }
    for (int64_t s = 0; s < sites; ++s) std::fill_n(work.u.data() + at(s, r), copies_, from[s]);
  }
  work.tile.u = work.u.data();
}

// The rolls of the round that comes next.
void TileRun::place_rolls() {
  const int64_t jitter = graph_.iteration.jitter;
  if (jitter == 0) return;
  Workspace& work = *work_;
  work.rolls.resize(static_cast<size_t>(2 * rows_));
  const int64_t first = graph_.sites() + 2 * round_;
  double pair[2];
  for (int64_t r = 0; r < rows_; ++r) {
    const double* u = pair;
    if (options_.u) {
      u = options_.u + (begin_ + r) * graph_.uniforms() + first;
      for (int64_t i = 0; i < 2; ++i)
        if (!(u[i] >= 0 && u[i] <= 1))
          throw ArgumentError("u: row " + std::to_string(begin_ + r) + ", uniform " + std::to_string(first + i) +
                              " is outside [0, 1]");
    } else {
      active_kernels().uniforms_f64(pair, 2, options_.seed, options_.first_row + static_cast<uint64_t>(begin_ + r), 1,
                                    static_cast<uint64_t>(first), 2);
    }
    for (int64_t i = 0; i < 2; ++i) {
      const auto chosen = static_cast<int64_t>(u[i] * static_cast<double>(2 * jitter + 1));
      work.rolls[static_cast<size_t>(2 * r + i)] = static_cast<int32_t>(std::min(2 * jitter, chosen) - jitter);
    }
  }
  work.tile.rolls = work.rolls.data();
}

bool TileRun::step_body() {
  place_rolls();
  work_->decoder->run(next_step_, next_step_ + 1);
  if (++round_ == graph_.iteration.rounds) ++next_step_;
  ++units_done_;
  return true;
}

// Where a run that starts at step `first` ends. Whoever looks at every site takes one step at a time.
int64_t TileRun::last_together(int64_t first) const {
  const int64_t together = work_->tile.watched ? 1 : ready_->steps_at_once();
  if (together == 1) return first + 1;
  const Plan& plan = ready_->plan();
  int64_t needed = plan.body >= 0 ? plan.body : static_cast<int64_t>(plan.steps.size());
  if (!call_.output) {
    needed = first + 1;
    for (int64_t rank = drawn_; rank < end_; ++rank)
      needed = std::max<int64_t>(needed, step_of_[static_cast<size_t>(graph_.order[static_cast<size_t>(rank)])] + 1);
  }
  return std::min(needed, first + together);
}

bool TileRun::step() {
  const std::vector<Step>& steps = ready_->plan().steps;
  if ((!call_.output && drawn_ >= end_) || next_step_ == static_cast<int64_t>(steps.size())) return false;
  if (next_step_ == ready_->plan().body) return step_body();
  const int64_t first = next_step_;
  next_step_ = last_together(first);
  work_->decoder->run(first, next_step_);
  if (!call_.output)
    for (int64_t step = first; step < next_step_; ++step)
      units_done_ += static_cast<int64_t>(steps[static_cast<size_t>(step)].sites.size());
  advance();
  return true;
}

// Sites are drawn in steps, and perhaps not by rank: rows end where what is drawn without a gap says so.
void TileRun::advance() {
  bool ended = false;
  const int64_t sites = graph_.sites();
  for (; drawn_ < sites; ++drawn_) {
    const int64_t site = graph_.order[static_cast<size_t>(drawn_)];
    if (step_of_[static_cast<size_t>(site)] >= next_step_) break;
    if (options_.stop.empty() || !call_.draws()) continue;
    for (int64_t r = 0; r < rows_; ++r) {
      const size_t row = static_cast<size_t>(r);
      if (drawn_ < row_begin_[row] || drawn_ >= row_end_[row]) continue;
      const int32_t level = work_->levels[at(site, r)];
      if (std::find(options_.stop.begin(), options_.stop.end(), level) == options_.stop.end()) continue;
      row_end_[row] = drawn_ + 1;
      padding_[row] = level;
      ended = true;
    }
  }
  if (ended) find_end();
}

void TileRun::tokens(int64_t rank, int32_t* out) const {
  const int64_t site = graph_.order[static_cast<size_t>(rank)];
  for (int64_t r = 0; r < rows_; ++r) {
    const size_t row = static_cast<size_t>(r);
    out[r] = rank < row_end_[row] ? work_->levels[at(site, r)] : padding_[row];
  }
}

void TileRun::finish() {
  const Workspace& work = *work_;
  work.decoder->finish();
  if (call_.output && ready_->plan().body < 0) units_done_ = 1;
  const int64_t sites = graph_.sites();
  for (int64_t r = 0; r < rows_; ++r) {
    const int64_t to = (begin_ + r) * sites;
    if (call_.out_f32)
      for (int64_t s = 0; s < sites; ++s) call_.out_f32[to + s] = work.x[at(s, r)];
    if (call_.out_u8 || call_.out_i32) {
      for (int64_t rank = 0; rank < sites; ++rank) {
        const int64_t s = graph_.order[static_cast<size_t>(rank)];
        const size_t from = at(s, r);
        const bool past = rank >= row_end_[static_cast<size_t>(r)] && !(work.tile.given && work.tile.given[from]);
        const int32_t level = past ? padding_[static_cast<size_t>(r)] : work.levels[from];
        if (call_.out_u8)
          call_.out_u8[to + s] = static_cast<uint8_t>(level);
        else
          call_.out_i32[to + s] = level;
      }
    }
    if (call_.log_prob) {
      double total = 0;
      for (int64_t s = 0; s < sites; ++s) total += work.log_prob[at(s, r)];
      call_.log_prob[begin_ + r] = total;
    }
    if (call_.lower) {
      for (int64_t s = 0; s < sites; ++s) {
        call_.lower[to + s] = work.lower[at(s, r)];
        call_.upper[to + s] = work.upper[at(s, r)];
      }
    }
  }
}

}  // namespace genfast
