-- Projects and tasks: boards, members, labels, checklists, activity and comments.

CREATE TABLE tasks_projects (
    id            uuid PRIMARY KEY,
    name          text NOT NULL,
    key           text NOT NULL UNIQUE,
    description   text,
    color         text NOT NULL DEFAULT '#6366f1',
    due_date      date,
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived')),
    next_number   integer NOT NULL DEFAULT 1,
    created_by_id uuid REFERENCES users ON DELETE SET NULL,
    version       integer NOT NULL DEFAULT 1,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE tasks_project_members (
    id         uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES tasks_projects ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role       text NOT NULL DEFAULT 'editor' CHECK (role IN ('owner', 'editor', 'viewer')),
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (project_id, user_id)
);

CREATE TABLE tasks_columns (
    id         uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES tasks_projects ON DELETE CASCADE,
    name       text NOT NULL,
    color      text NOT NULL DEFAULT '#94a3b8',
    is_done    boolean NOT NULL DEFAULT false,
    wip_limit  integer,
    position   integer NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (project_id, name)
);
CREATE INDEX ON tasks_columns (project_id, position);

CREATE TABLE tasks_labels (
    id         uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES tasks_projects ON DELETE CASCADE,
    name       text NOT NULL,
    color      text NOT NULL DEFAULT '#6366f1',
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (project_id, name)
);

-- position counts 0, 1, 2 … within a column; not unique, since a move shifts its neighbours first.
CREATE TABLE tasks_tasks (
    id           uuid PRIMARY KEY,
    project_id   uuid NOT NULL REFERENCES tasks_projects ON DELETE CASCADE,
    column_id    uuid NOT NULL REFERENCES tasks_columns ON DELETE RESTRICT,
    number       integer NOT NULL,
    title        text NOT NULL,
    description  text,
    priority     text NOT NULL DEFAULT 'medium' CHECK (priority IN ('low', 'medium', 'high', 'urgent')),
    position     integer NOT NULL,
    due_date     date,
    reporter_id  uuid REFERENCES users ON DELETE SET NULL,
    is_archived  boolean NOT NULL DEFAULT false,
    completed_at timestamptz(3),
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz(3) NOT NULL DEFAULT now(),
    updated_at   timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (project_id, number)
);
CREATE INDEX ON tasks_tasks (column_id, position);
CREATE INDEX ON tasks_tasks (project_id, is_archived);
CREATE INDEX ON tasks_tasks (due_date);

CREATE TABLE tasks_task_assignees (
    id         uuid PRIMARY KEY,
    task_id    uuid NOT NULL REFERENCES tasks_tasks ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (task_id, user_id)
);

CREATE TABLE tasks_task_labels (
    id         uuid PRIMARY KEY,
    task_id    uuid NOT NULL REFERENCES tasks_tasks ON DELETE CASCADE,
    label_id   uuid NOT NULL REFERENCES tasks_labels ON DELETE CASCADE,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (task_id, label_id)
);

CREATE TABLE tasks_checklist_items (
    id         uuid PRIMARY KEY,
    task_id    uuid NOT NULL REFERENCES tasks_tasks ON DELETE CASCADE,
    title      text NOT NULL,
    is_done    boolean NOT NULL DEFAULT false,
    position   integer NOT NULL DEFAULT 0,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON tasks_checklist_items (task_id, position);

CREATE TABLE tasks_activities (
    id         uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES tasks_projects ON DELETE CASCADE,
    task_id    uuid REFERENCES tasks_tasks ON DELETE CASCADE,
    actor_id   uuid REFERENCES users ON DELETE SET NULL,
    kind       text NOT NULL
                   CHECK (kind IN ('created', 'updated', 'moved', 'assigned',
                       'labelled', 'commented', 'completed', 'reopened', 'archived', 'restored')),
    from_value text,
    to_value   text,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON tasks_activities (project_id, created_at);
CREATE INDEX ON tasks_activities (task_id, created_at);

CREATE TABLE tasks_comments (
    id          uuid PRIMARY KEY,
    task_id     uuid NOT NULL REFERENCES tasks_tasks ON DELETE CASCADE,
    author_id   uuid REFERENCES users ON DELETE SET NULL,
    body        text NOT NULL,
    mention_ids jsonb NOT NULL DEFAULT '[]',
    edited_at   timestamptz(3),
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON tasks_comments (task_id, created_at);
